"""Reductions beside sums: products, variances, norms, softmax."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.dtypes import as_dtype
from fgrad.torch.recording import one, several
from fgrad.torch.registry import numpy_names, operation
from fgrad.torch.size import axes_of, axis_of
from fgrad.torch.tensor import Tensor, require_tensor

_ALL: Any = object()
NO_FREEDOM = (
    "degrees of freedom is <= 0. Correction should be strictly less than the reduction "
    "factor (input numel divided by output numel)."
)


def typed(x: Tensor, dtype: Any) -> Tensor:
    """A tensor for a sum or product: in ``dtype``; integers become int64."""
    if dtype is not None:
        return convert(x, as_dtype(dtype))
    return x if x._aval.dtype.kind in "fc" else convert(x, dtypes.int64)


@operation("prod")
@numpy_names
def prod(
    input: Tensor, dim: Any = _ALL, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The product over all elements or an axis; of integers an int64.

    ``dtype`` is what elements are converted to first.

    >>> torch.prod(torch.tensor([[1, 2], [3, 4]]), dim=1)
    tensor([ 2, 12])
    """
    x = typed(require_tensor("prod", input), dtype)
    if dim is _ALL:
        return one("ProdBackward0", np.prod, x)
    axis = _only(x, dim)
    return one("ProdBackward1", lambda u: np.prod(u, axis=axis, keepdims=keepdim), x)


def _only(x: Tensor, dim: int) -> tuple[int, ...]:
    """One axis, as a tuple: empty for a tensor without axes."""
    axis = axis_of(dim, x._aval.ndim)
    return (axis,) if x._aval.ndim else ()


class _Spread:
    """What `var` and `std` are given, in either of PyTorch's ways."""

    def __init__(
        self, name: str, input: Tensor, dim: Any, unbiased: Any, given: dict[str, Any]
    ) -> None:
        self.x = require_tensor(name, input)
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if self.x.dtype.category < 2:
            raise RuntimeError(
                f"{name} only support floating point and complex dtypes"
                if "mean" in name
                else "std and var only support floating point and complex dtypes"
            )
        correction = given.pop("correction", None)
        self.keepdim = bool(given.pop("keepdim", False))
        if given:
            raise TypeError(
                f"{name}() got an unexpected keyword argument '{next(iter(given))}'"
            )
        self.axes = axes_of(dim, self.x._aval.ndim)
        count = math.prod(self.x._aval.shape[axis] for axis in self.axes)
        if correction is None:
            correction = 1 if unbiased else 0
        if count <= correction:
            warnings.warn(f"{name}(): {NO_FREEDOM}", UserWarning, stacklevel=4)
        self.scale = 1 / (count - correction) if count > correction else math.inf

    def variance(self, u: Any) -> Any:
        """The variance, and the mean."""
        if not u.size:
            nothing = np.sum(u, axis=self.axes, keepdims=self.keepdim) * math.nan
            return nothing, nothing
        mean = np.mean(u, axis=self.axes, keepdims=True)
        centred = u - mean
        if self.x._aval.dtype.kind == "c":
            squares = centred.real * centred.real + centred.imag * centred.imag
        else:
            squares = centred * centred
        total = np.sum(squares, axis=self.axes, keepdims=self.keepdim)
        mean = mean if self.keepdim else np.squeeze(mean, self.axes)
        return total * self.scale, mean


def safe_sqrt(x: Any) -> Any:
    """The square root, with a gradient of zero at zero."""
    return np.where(x == 0, 0.0, np.sqrt(np.where(x == 0, 1.0, x)))


@operation("var")
@numpy_names
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = True,
    keepdim: Any = False,
    **kw: Any,
) -> Tensor:
    """The variance over axes: the sum of squared deviations over ``n - correction``.

    Args:
        input: a tensor of floating-point or complex numbers.
        dim: an axis or several; all by default.
        unbiased: False for ``correction=0``; 1 is the default.
        keepdim: whether the axes stay, with length 1.
        kw: ``correction``.

    Raises:
        RuntimeError: the elements are integers.

    >>> x = torch.tensor([1.0, 3.0])
    >>> torch.var(x), torch.var(x, correction=0)
    (tensor(2.), tensor(1.))
    """
    spread = _Spread("var", input, dim, unbiased, {"keepdim": keepdim, **kw})
    return one("VarBackward0", lambda u: spread.variance(u)[0], spread.x)


@operation("std")
@numpy_names
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = True,
    keepdim: Any = False,
    **kw: Any,
) -> Tensor:
    """The standard deviation over axes, the root of `var`; arguments as there.

    >>> torch.std(torch.tensor([[1.0, 3.0], [0.0, 10.0]]), dim=1)
    tensor([1.4142, 7.0711])
    """
    spread = _Spread("std", input, dim, unbiased, {"keepdim": keepdim, **kw})
    return one("StdBackward0", lambda u: safe_sqrt(spread.variance(u)[0]), spread.x)


@operation("var_mean")
@numpy_names
def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = True,
    keepdim: Any = False,
    **kw: Any,
) -> tuple[Tensor, Tensor]:
    """The variance and the mean over axes; arguments as of `var`.

    >>> torch.var_mean(torch.tensor([1.0, 3.0]))
    (tensor(2.), tensor(2.))
    """
    spread = _Spread("var_mean", input, dim, unbiased, {"keepdim": keepdim, **kw})
    first, second = several("VarMeanBackward0", spread.variance, spread.x)
    return first, second


@operation("std_mean")
@numpy_names
def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = True,
    keepdim: Any = False,
    **kw: Any,
) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean over axes; arguments as of `var`.

    >>> torch.std_mean(torch.tensor([1.0, 3.0]), correction=0)
    (tensor(1.), tensor(2.))
    """
    spread = _Spread("std_mean", input, dim, unbiased, {"keepdim": keepdim, **kw})

    def compute(u: Any) -> Any:
        variance, mean = spread.variance(u)
        return safe_sqrt(variance), mean

    first, second = several("StdMeanBackward0", compute, spread.x)
    return first, second


def vector_norm(x: Any, p: float, axes: tuple[int, ...], keepdim: bool) -> Any:
    """The ``p``-norm of an array over axes; its gradient at zero is zero."""
    if p == 2:
        is_complex = x.dtype.kind == "c"
        squares = x.real * x.real + x.imag * x.imag if is_complex else x * x
        return safe_sqrt(np.sum(squares, axis=axes, keepdims=keepdim))
    size = np.abs(x)
    if p == 1:
        return np.sum(size, axis=axes, keepdims=keepdim)
    if p == math.inf:
        return np.max(size, axis=axes, keepdims=keepdim)
    if p == -math.inf:
        return np.min(size, axis=axes, keepdims=keepdim)
    if p == 0:
        counted = np.where(x != 0, 1.0, 0.0).astype(x.dtype)
        return np.sum(np.where(np.True_, counted, x), axis=axes, keepdims=keepdim)
    total = np.sum(size**p, axis=axes, keepdims=keepdim)
    return np.where(total == 0, 0.0, np.where(total == 0, 1.0, total) ** (1 / p))


@operation("norm")
@numpy_names
def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Tensor:
    """The ``p``-norm over all elements or axes; ``"nuc"`` is that of a matrix.

    Raises:
        RuntimeError: the elements are no floating-point numbers, or there are none of
            which one is the norm.

    >>> torch.norm(torch.tensor([3.0, 4.0])), torch.norm(torch.tensor([3.0, 4.0]), p=1)
    (tensor(5.), tensor(7.))
    """
    x = require_tensor("norm", input)
    if dtype is not None:
        x = convert(x, as_dtype(dtype))
    if x.dtype.category < 2:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. "
            f"Got {x.dtype.kind}"
        )
    if p == "nuc":
        singular = one("LinalgSvdBackward0", _singular_values, x)
        return singular.sum(-1)  # type: ignore[no-any-return]
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
    order = 2.0 if p in ("fro", None) else float(p)
    axes = axes_of(dim, x._aval.ndim)
    if (order < 0 or order == math.inf) and not x._aval.size:
        _check_not_empty(order, x, dim)
    node = "LinalgVectorNormBackward0"
    return one(node, lambda u: vector_norm(u, order, axes, keepdim), x)


def _check_not_empty(order: float, x: Tensor, dim: Any) -> None:
    """Refuse the largest or smallest magnitude of none."""
    shape, where, why = x._aval.shape, "an empty tensor ", "the"
    if dim is not None:
        axes = dim if isinstance(dim, Sequence) else (dim,)
        axis = next((axis for axis in axes if not shape[axis]), None)
        if axis is None:
            return
        where, why = f"the dimension {axis}", "this dimension is empty and the"
    raise RuntimeError(
        f"linalg.vector_norm cannot compute the {order:g} norm on {where}because {why} "
        "operation does not have an identity"
    )


def _singular_values(x: Any) -> Any:
    return np.linalg.svd(x, compute_uv=False)


@operation("nansum")
@numpy_names
def nansum(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The sum over axes of what is not NaN.

    >>> torch.nansum(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    x = typed(require_tensor("nansum", input), dtype)
    axes = axes_of(dim, x._aval.ndim)

    def compute(u: Any) -> Any:
        return np.sum(np.where(u == u, u, 0), axis=axes, keepdims=keepdim)

    return one("NansumBackward0", compute, x)


@operation("nanmean")
@numpy_names
def nanmean(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The mean over axes of what is not NaN.

    >>> torch.nanmean(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    x = require_tensor("nanmean", input)
    axes = axes_of(dim, x._aval.ndim)
    count = np.sum(x._array == x._array, axis=axes, keepdims=keepdim)
    total = nansum(x, dim, keepdim, dtype=dtype)
    return one("DivBackward0", lambda u: u / count.astype(u.dtype), total)


def interpolation_of(name: str) -> str:
    """NumPy's name of an interpolation, which is PyTorch's.

    Raises:
        RuntimeError: there is none of that name.
    """
    if name not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            "quantile() interpolation must be one of linear, lower, higher, midpoint "
            f"or nearest, but got {name}"
        )
    return name


@operation("quantile")
@numpy_names
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """Quantiles over all elements or an axis.

    ``q`` is a number or a vector, whose axis comes first in the result. Between
    elements ``interpolation`` is ``"linear"``, ``"lower"``, ``"higher"``,
    ``"midpoint"`` or ``"nearest"``.

    Raises:
        RuntimeError: ``q`` is outside of ``[0, 1]``, or there are no elements.

    >>> torch.quantile(torch.tensor([0.0, 1.0, 10.0]), torch.tensor([0.5, 0.75]))
    tensor([1.0000, 5.5000])
    """
    x = require_tensor("quantile", input)
    level = q._array if isinstance(q, Tensor) else q
    for each in np.asarray(level).ravel().tolist():
        if not 0 <= each <= 1:
            raise RuntimeError(
                f"quantile() q must be in the range [0, 1] but got {each:g}"
            )
    if not x._aval.size:
        raise RuntimeError("quantile() input tensor must be non-empty")
    axis = None if dim is None else axis_of(dim, x._aval.ndim)
    method: Any = interpolation_of(interpolation)

    def compute(u: Any) -> Any:
        found = np.quantile(u, level, axis=axis, keepdims=keepdim, method=method)
        return found.astype(u.dtype)

    return one("SqueezeBackward4", compute, x)
