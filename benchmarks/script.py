"""What a script for torch is, and how the files of `scripts/` are found."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import scripts

Step = Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script, written once for PyTorch and fgrad.torch.

    Attributes:
        name: the line of the table.
        description: what a step does.
        build: ``build(torch)`` gives the step: a function that does what is timed and
            returns tensors, in nested tuples or lists. Their values are compared, and
            the gradients of those that are leaves.
        bar: the time of fgrad.torch over that of PyTorch which is the goal.
    """

    name: str
    description: str
    build: Callable[[Any], Step]
    bar: float


def find_scripts() -> list[Script]:
    """All entries of ``SCRIPTS`` of all files of `scripts/`, by file name.

    Raises:
        ValueError: two scripts share a name.
    """
    found: list[Script] = []
    for info in pkgutil.iter_modules(scripts.__path__):
        module = importlib.import_module(f"{scripts.__name__}.{info.name}")
        found += module.SCRIPTS
    names = [script.name for script in found]
    if len(set(names)) < len(names):
        raise ValueError(f"two scripts share a name: {sorted(names)}")
    return found


def normal(torch: Any, *shape: int, seed: int = 0) -> Any:
    """Standard normal numbers in float32, the same for both libraries."""
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.standard_normal(shape, np.float32))


def labels(torch: Any, count: int, classes: int) -> Any:
    """Classes in turn, as int64."""
    return torch.arange(count) % classes


def fill(torch: Any, parameters: Iterable[Any]) -> None:
    """Give parameters numbers that are the same for both libraries.

    They are normal, divided by the root of how many inputs an output has.
    """
    with torch.no_grad():
        for seed, parameter in enumerate(parameters, 1):
            inputs = max(1, int(np.prod(tuple(parameter.shape)[1:])))
            parameter.copy_(normal(torch, *parameter.shape, seed=seed) / inputs**0.5)


def values_of(result: Any) -> list[np.ndarray[Any, Any]]:
    """The values of all tensors of a result, and the gradients of leaves, as copies."""
    if isinstance(result, Sequence):
        return [array for part in result for array in values_of(part)]
    found = [result.detach().numpy().copy()]
    if result.is_leaf and result.grad is not None:
        found.append(result.grad.numpy().copy())
    return found
