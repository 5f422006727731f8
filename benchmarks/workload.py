"""What a workload is, and how the files of `workloads/` are found."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from benchmarks import workloads

Rng = np.random.Generator
Array = np.ndarray[Any, Any]
Tree = dict[str, Any]
Arguments = tuple[Any, ...]
Loss = Callable[..., Any]
Transform = Literal["value_and_grad", "third", "hessian", "hvp", "jacobian"]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A computation, and what is to be derived from it.

    Attributes:
        name: what ``--only`` selects.
        description: one line for ``--list``.
        make: ``make(rng, size)`` gives the arguments as NumPy arrays, Python floats and
            nested containers of them; the first one is differentiated.
        build: ``build(np)`` gives the function, written once against ``np``: NumPy,
            autograd.numpy or jax.numpy.
        size: what `make` receives in a benchmark.
        small: what it receives in the tests, where only values count.
        transform: what is derived; for ``hvp`` the last argument is the vector, which
            the function itself does not take; ``third`` is the third derivative of a
            function of one float.
        hand: the derived result written by hand in NumPy, from the same arguments.
        hand_out: the same with ``out=``: a factory that takes the arguments, allocates
            what can be allocated once, and gives the function of the same arguments.
            Its results may be the same arrays at every call.
        hand_math: the same in Python's math module.
        torch: ``torch(module)`` gives the function for tensors; `build` itself where
            its calls mean the same in torch.
        quick: whether ``--quick`` runs it.
        bar: the time of ``fgrad.jit`` over that of `hand` which is the goal.
        without: peers that cannot run it, by name, and why.
        slow: peers that ``--quick`` leaves out, since they compile for long.
    """

    name: str
    description: str
    make: Callable[[Rng, Any], Arguments]
    build: Callable[[Any], Loss]
    size: Any
    small: Any
    transform: Transform = "value_and_grad"
    hand: Callable[..., Any] | None = None
    hand_out: Callable[..., Callable[..., Any]] | None = None
    hand_math: Callable[..., Any] | None = None
    torch: Callable[[Any], Loss] | None = None
    quick: bool = True
    bar: float | None = None
    without: Mapping[str, str] = field(default_factory=dict)
    slow: frozenset[str] = frozenset()

    def arguments(self, *, small: bool = False) -> Arguments:
        """The arguments, the same at every call."""
        return self.make(np.random.default_rng(0), self.small if small else self.size)


def find_workloads() -> list[Workload]:
    """All entries of ``WORKLOADS`` of all files of `workloads/`, by file name.

    Raises:
        ValueError: two workloads share a name.
    """
    found: list[Workload] = []
    for info in pkgutil.iter_modules(workloads.__path__):
        module = importlib.import_module(f"{workloads.__name__}.{info.name}")
        found += module.WORKLOADS
    names = [workload.name for workload in found]
    if len(set(names)) < len(names):
        raise ValueError(f"two workloads share a name: {sorted(names)}")
    return found
