"""``strict()``: warnings of what is most often a mistake in a training loop.

It is of fgrad, not of PyTorch. A step of an optimiser that follows two backward passes
without `zero_grad` between them uses their sum; a parameter that never got a gradient
is not trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, final

from fgrad.sites import Site, at_site, user_site
from fgrad.torch.modes import STATE
from fgrad.torch.tensor import Tensor


class StrictWarning(UserWarning):
    """What `strict` warns of."""


@final
class strict:
    """Warn of mistakes in the training loops of a block, and remember more of it.

    - An optimiser's `step` that follows two backward passes into its parameters without
      `zero_grad` between them. (Where that is meant, leave it outside.)
    - Each recorded operation keeps the user's line, for errors of `backward` and for
      `Tensor.graph`.
    - `unused` lists parameters that got no gradient in the block.

    It holds for the thread. Operations take about a microsecond more.

    >>> model = torch.nn.Linear(2, 2)
    >>> with torch.strict() as watch:
    ...     (model.weight * 2).sum().backward()
    >>> watch.unused(model)
    ['bias']
    """

    def __init__(self) -> None:
        # the tensors, held so that no other one gets their id, and the user's lines
        self._filled: dict[int, tuple[Tensor, list[Site | None]]] = {}
        self._before: Any = None
        self._sites = False

    def __enter__(self) -> strict:
        self._before, STATE.watch = STATE.watch, self
        self._sites, STATE.sites = STATE.sites, True
        STATE.run = None  # what is recorded from here on is recorded at once
        return self

    def __exit__(self, *exception: object) -> None:
        STATE.watch, STATE.sites = self._before, self._sites

    def filled(self, tensor: Tensor) -> None:
        """A backward pass is about to add to ``tensor.grad``."""
        known = tensor._grad
        is_new = known is None or not known._array.any()
        _, sites = self._filled.get(id(tensor), (tensor, []))
        self._filled[id(tensor)] = tensor, [*([] if is_new else sites), user_site()]

    def stepped(self, tensors: Iterable[Tensor]) -> None:
        """An optimiser uses the gradients of these."""
        for x in tensors:
            _, sites = self._filled.get(id(x), (x, []))
            if x._grad is not None and len(sites) > 1:
                warnings.warn(
                    f"step() uses the sum of {len(sites)} gradients: backward() added "
                    f"to them{at_site(sites[0])}, and last{at_site(sites[-1])}, "
                    "without zero_grad() in between",
                    StrictWarning,
                    stacklevel=3,
                )
                return

    def unused(self, parameters: Any) -> list[Any]:
        """The parameters that no backward pass of the block gave a gradient.

        Args:
            parameters: a module, or an iterable of ``(name, tensor)``, such as
                ``named_parameters()``, or a dictionary.

        Returns:
            Their names.
        """
        named = getattr(parameters, "named_parameters", None)
        if named is not None:
            parameters = named()
        pairs = parameters.items() if isinstance(parameters, dict) else parameters
        return [name for name, x in pairs if x._requires and id(x) not in self._filled]
