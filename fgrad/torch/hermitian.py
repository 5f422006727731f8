"""Functions of Hermitian matrices, of which one triangle is read.

Gradients are Hermitian, as in PyTorch: an element and its mirror image share them,
whichever was read. NumPy code alone would give them to the one that was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad


def adjoint(a: Any) -> Any:
    """The conjugate transposes of matrices."""
    return np.conj(np.swapaxes(a, -1, -2))


mirrored = fgrad.custom_jvp(lambda a: a * 1)


@mirrored.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return mirrored(*primals), (tangents[0] + adjoint(tangents[0])) / 2


def cholesky_of(a: Any, upper: bool) -> Any:
    """The triangle below the diagonal, or that above it, read from where it will be."""
    whole = mirrored(a)
    if upper:
        return adjoint(np.linalg.cholesky(adjoint(whole)))
    return np.linalg.cholesky(whole)


def bad_minors(a: Any, upper: bool = False) -> Any:
    """The order of the first leading minor that is not positive, or 0: of each."""
    whole = adjoint(a) if upper else a
    found = [_bad_minor(matrix) for matrix in whole.reshape(-1, *a.shape[-2:])]
    return np.array(found, np.int32).reshape(a.shape[:-2])


def _bad_minor(a: Any) -> int:
    if _is_positive(a):
        return 0
    orders = range(1, len(a) + 1)
    return next((k for k in orders if not _is_positive(a[:k, :k])), 0)


def _is_positive(a: Any) -> bool:
    try:
        np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return False
    return True
