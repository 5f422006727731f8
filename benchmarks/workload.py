"""What a workload is, and how the files of `workloads/` are found."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks import workloads

Rng = np.random.Generator
Array = np.ndarray[Any, Any]
Tree = dict[str, Any]
Arguments = tuple[Any, ...]
Loss = Callable[..., Any]
Transform = Literal["value_and_grad", "hessian", "hvp", "jacobian"]


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
            the function itself does not take.
        hand: the derived result written by hand in NumPy, from the same arguments.
        torch: ``torch(module)`` gives the function for tensors; `build` itself where
            its calls mean the same in torch.
        quick: whether ``--quick`` runs it.
    """

    name: str
    description: str
    make: Callable[[Rng, Any], Arguments]
    build: Callable[[Any], Loss]
    size: Any
    small: Any
    transform: Transform = "value_and_grad"
    hand: Callable[..., Any] | None = None
    torch: Callable[[Any], Loss] | None = None
    quick: bool = True

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
