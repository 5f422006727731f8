"""Covariances and correlations of rows of observations."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.recording import one
from fgrad.torch.registry import operation
from fgrad.torch.tensor import Tensor, require_tensor

NO_FREEDOM = (
    "cov(): degrees of freedom is <= 0. Correction should be strictly less than the "
    "number of observations."
)


@operation("cov")
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """The covariances of rows of observations: ``(n, observations)`` gives ``(n, n)``.

    Sums of products of deviations, over ``observations - correction``; of a vector the
    variance.

    Args:
        input: a matrix or a vector.
        correction: what is taken off the number of observations.
        fweights: how often each observation counts, integers ``(observations,)``.
        aweights: how much each observation counts, ``(observations,)``.

    Raises:
        RuntimeError: there are more than two axes, or Booleans; weights are of another
            kind, as many as there are observations, negative, or sum to zero.

    >>> torch.cov(torch.tensor([[0.0, 2.0], [4.0, 0.0]]))
    tensor([[ 2., -4.],
            [-4.,  8.]])
    """
    x = require_tensor("cov", input)
    _check_rank("cov", x)
    if x.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    count = x._aval.shape[1] if x._aval.ndim == 2 else x._aval.size
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is not None:
            _check_weights(name, weights, count)
    if x.dtype.category < 2:
        x = convert(x, dtypes.get_default_dtype())
    given = [w for w in (fweights, aweights) if w is not None]
    weighing = _Weighing(count, correction, fweights is not None, aweights is not None)
    is_free = weighing.check([w._array for w in given])

    def compute(u: Any, *weights: Any) -> Any:
        rows = u if u.ndim == 2 else u.reshape(1, count)
        factor, total, freedom = weighing(weights, rows.real.dtype)
        weighted = rows if factor is None else rows * factor
        rows = rows - (np.sum(weighted, axis=1) / total)[:, None]
        weighted = rows if factor is None else rows * factor
        found = np.matmul(rows, np.conjugate(weighted.T))
        return np.squeeze(found / (freedom if is_free else 0.0))

    return one("SqueezeBackward0", compute, x, *given)


class _Weighing:
    """How observations are weighed, by how often and by how much each counts."""

    def __init__(self, count: int, correction: int, often: bool, much: bool) -> None:
        self.count, self.correction = count, correction
        self.often, self.much = often, much

    def __call__(self, weights: Any, kind: Any) -> tuple[Any, Any, Any]:
        """The factors of observations or None, their sum, the degrees of freedom."""
        if not weights:
            return None, self.count, self.count - self.correction
        factor = last = weights[-1]
        if self.often:
            often = weights[0].astype(last.dtype if self.much else kind)
            factor = often * last if self.much else often
        total = np.sum(factor)
        if not self.much or not self.correction:
            return factor, total, total - self.correction
        return factor, total, total - self.correction * np.sum(factor * last) / total

    def check(self, weights: Any) -> bool:
        """Whether there are degrees of freedom; warns where there are none.

        Raises:
            RuntimeError: the weights sum to zero.
        """
        factor, total, freedom = self(weights, np.float64)
        if factor is not None and total == 0:
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
        if freedom <= 0:
            warnings.warn(NO_FREEDOM, UserWarning, stacklevel=3)
        return bool(freedom > 0)


def _check_rank(name: str, x: Tensor) -> None:
    if x._aval.ndim > 2:
        raise RuntimeError(
            f"{name}(): expected input to have two or fewer dimensions but got an "
            f"input with {x._aval.ndim} dimensions"
        )


def _check_weights(name: str, weights: Tensor, count: int) -> None:
    if weights._aval.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} "
            f"with {weights._aval.ndim} dimensions"
        )
    kind, often = weights.dtype, name == "fweights"
    if not (kind.category == 1 if often else kind.is_floating_point):
        wanted = "integral" if often else "floating point"
        raise RuntimeError(
            f"cov(): expected {name} to have {wanted} dtype but got {name} with "
            f"{kind.kind} dtype"
        )
    if weights._aval.size != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations "
            f"in the input but got {weights._aval.size} != {count}"
        )
    if np.any(weights._array < 0):
        raise RuntimeError(f"cov(): {name} cannot be negative")


@operation("corrcoef")
def corrcoef(input: Tensor) -> Tensor:
    """The correlation coefficients of rows of observations: ``(n, n)``.

    Raises:
        RuntimeError: there are more than two axes, or Booleans.

    >>> torch.corrcoef(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    x = require_tensor("corrcoef", input)
    _check_rank("corrcoef", x)
    covariances = cov(x)
    if not covariances._aval.ndim:
        return one("DivBackward0", lambda u: u / u, covariances)
    is_complex = covariances.dtype.is_complex
    node = "ComplexBackward0" if is_complex else "ClampBackward1"
    return one(node, _normalized, covariances)


def _normalized(covariances: Any) -> Any:
    """Covariances over the deviations of both, between -1 and 1."""
    deviations = np.sqrt(np.diagonal(covariances).real)
    found = covariances / deviations[:, None] / deviations[None, :]
    if found.dtype.kind != "c":
        return np.clip(found, -1, 1)
    return np.clip(found.real, -1, 1) + 1j * np.clip(found.imag, -1, 1)
