"""The value check: no time is quoted for a peer whose answer differs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.peers import leaves_of

# Relative to the largest element of each array: sums in another order, no more.
TOLERANCE = {"float32": 2e-4, "float64": 1e-8}


def as_arrays(result: Any) -> list[np.ndarray[Any, Any]]:
    """The leaves of a peer's result as NumPy arrays."""
    return [np.asarray(leaf) for leaf in leaves_of(result)]


def difference(result: Any, reference: Any) -> str | None:
    """How a result differs from the reference, or None where it does not."""
    found, expected = as_arrays(result), as_arrays(reference)
    if len(found) != len(expected):
        return f"{len(found)} arrays, expected {len(expected)}"
    for number, (x, y) in enumerate(zip(found, expected, strict=True)):
        if x.shape != y.shape:
            return f"array {number} has shape {x.shape}, expected {y.shape}"
        if not np.all(np.isfinite(x)):
            return f"array {number} is not finite"
        coarser = "float32" if "float32" in (x.dtype, y.dtype) else "float64"
        bound = TOLERANCE[coarser] * np.max(np.abs(y), initial=1e-300)
        error = np.max(np.abs(x - y), initial=0.0)
        if error > bound:
            return f"array {number} is off by {error:.2e}, the bound is {bound:.2e}"
    return None


def compare(results: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with each peer's result; empty where all agree.

    The reference is ``hand``, else the first peer that is not fgrad, else fgrad.
    """
    if not results:
        return {}
    others = [name for name in results if not name.startswith("fgrad")]
    chosen = "hand" if "hand" in results else next(iter([*others, *results]))
    found = {name: difference(x, results[chosen]) for name, x in results.items()}
    return {name: f"{text} ({chosen})" for name, text in found.items() if text}
