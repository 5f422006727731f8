"""Complex tensors: parts, angles, and views as pairs of real numbers."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.axes import transpose
from fgrad.torch.conjugates import conj
from fgrad.torch.conversion import convert
from fgrad.torch.known import is_traced
from fgrad.torch.recording import one
from fgrad.torch.registry import METHODS, function, method, operation
from fgrad.torch.tensor import Tensor, require_tensor


@operation("is_complex")
def is_complex(input: Tensor) -> bool:
    """Whether the elements are complex numbers.

    >>> torch.is_complex(torch.tensor([1j])), torch.is_complex(torch.tensor([1.0]))
    (True, False)
    """
    return bool(input._aval.dtype.kind == "c")


def _parts(x: Tensor, y: Tensor) -> None:
    """Check that two tensors can be the parts of a complex one."""
    if any(z._aval.dtype.kind != "f" for z in (x, y)):
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{x.dtype.kind} and {y.dtype.kind}"
        )
    if x._aval.dtype != y._aval.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {x.dtype.kind} but got scalar type "
            f"{y.dtype.kind} for second argument"
        )


@function("complex")
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """``real + 1j * imag``: of float32 complex64, of float64 complex128.

    Raises:
        RuntimeError: the dtypes differ, or are no floating-point ones.

    >>> torch.complex(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor([1.+3.j, 2.+4.j])
    """
    x, y = require_tensor("complex", real), require_tensor("complex", imag, 2)
    _parts(x, y)
    wanted = x.dtype.to_complex().numpy
    return one("ComplexBackward0", lambda u, v: _joined(u, v, wanted), x, y)


def _joined(x: Any, y: Any, wanted: Any) -> Any:
    """The complex numbers of given parts, infinite ones included."""
    if not is_traced(x) and not is_traced(y):
        out = np.empty(np.broadcast_shapes(x.shape, y.shape), wanted)
        out.real, out.imag = x, y
        return out
    return x.astype(wanted) + y.astype(wanted) * 1j


@function("polar")
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """``abs * (cos(angle) + 1j * sin(angle))``

    >>> torch.polar(torch.tensor([2.0]), torch.tensor([0.0]))
    tensor([2.+0.j])
    """
    x, y = require_tensor("polar", abs), require_tensor("polar", angle, 2)
    _parts(x, y)
    wanted = x.dtype.to_complex().numpy

    def compute(r: Any, phi: Any) -> Any:
        return _joined(r * np.cos(phi), r * np.sin(phi), wanted)

    return one("PolarBackward0", compute, x, y)


@function("real")
def real(input: Tensor) -> Tensor:
    """The real part: a view; a real tensor itself.

    >>> torch.real(torch.tensor([1 + 2j]))
    tensor([1.])
    """
    x = require_tensor("real", input)
    if x._aval.dtype.kind != "c":
        return x
    return one("SelectBackward0", np.real, x, view=True)


@function("imag")
def imag(input: Tensor) -> Tensor:
    """The imaginary part: a view.

    Raises:
        RuntimeError: the elements are real numbers.

    >>> torch.imag(torch.tensor([1 + 2j]))
    tensor([2.])
    """
    x = require_tensor("imag", input)
    if x._aval.dtype.kind != "c":
        raise RuntimeError(
            "imag is not implemented for tensors with non-complex dtypes."
        )
    return one("SelectBackward0", np.imag, x, view=True)


def _set_real(self: Tensor, value: Any) -> None:
    real(self)[...] = value


def _set_imag(self: Tensor, value: Any) -> None:
    imag(self)[...] = value


METHODS["real"] = property(real, _set_real)
METHODS["imag"] = property(imag, _set_imag)


@operation("angle")
def angle(input: Tensor) -> Tensor:
    """The angle in radians of complex numbers; of negative real ones pi, else 0.

    >>> torch.angle(torch.tensor([1j, -1 + 0j]))
    tensor([1.5708, 3.1416])
    """
    x = require_tensor("angle", input)
    if x._aval.dtype.kind == "c":
        return one("AngleBackward0", np.angle, x)
    if x._aval.dtype.kind != "f":
        x = convert(x, dtypes.get_default_dtype())
    return one("AngleBackward0", _angle_of_real, x)


def _angle_of_real(x: Any) -> Any:
    flat = x * 0  # NaN stays NaN
    return np.where(x < 0, flat + math.pi, flat)


@function("view_as_real")
def view_as_real(input: Tensor) -> Tensor:
    """Real and imaginary parts in a new last axis: a view.

    Raises:
        RuntimeError: the elements are real numbers.

    >>> torch.view_as_real(torch.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    x = require_tensor("view_as_real", input)
    if x._aval.dtype.kind != "c":
        raise RuntimeError("view_as_real is only supported for complex tensors")
    wanted = x.dtype.to_real().numpy

    def compute(u: Any) -> Any:
        if is_traced(u):
            return np.stack([u.real, u.imag], -1)
        return u[..., None].view(wanted)

    return one("ViewAsRealBackward0", compute, x, view=True)


@function("view_as_complex")
def view_as_complex(input: Tensor) -> Tensor:
    """Pairs in the last axis as complex numbers: a view where they lie together.

    Raises:
        RuntimeError: the last axis has no pairs, or the elements are no real numbers.

    >>> torch.view_as_complex(torch.tensor([[1.0, 2.0]]))
    tensor([1.+2.j])
    """
    x = require_tensor("view_as_complex", input)
    if x._aval.dtype.kind != "f" or x._aval.dtype.itemsize < 4:
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but "
            f"got a tensor of scalar type: {x.dtype.kind}"
        )
    if not x._aval.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if x._aval.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    wanted = x.dtype.to_complex().numpy

    def compute(u: Any) -> Any:
        if is_traced(u) or not u.flags.c_contiguous:
            return _joined(u[..., 0], u[..., 1], wanted)
        return u.view(wanted)[..., 0]

    return one("ViewAsComplexBackward0", compute, x, view=True)


def _matrices_conjugate_transposed(self: Tensor) -> Tensor:
    ndim = self._aval.ndim
    if not ndim:
        return _of_number("mH", self)
    if ndim < 2:
        raise RuntimeError(
            "tensor.mH is only supported on matrices or batches of matrices. Got "
            f"{ndim}-D tensor."
        )
    return conj(transpose(self, -2, -1))


def _conjugate_transposed(self: Tensor) -> Tensor:
    ndim = self._aval.ndim
    if not ndim:
        return _of_number("H", self)
    if ndim != 2:
        hint = " For batches of matrices, consider using tensor.mH" if ndim > 2 else ""
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {ndim}-D "
            f"tensor.{hint}"
        )
    return conj(transpose(self, 0, 1))


def _of_number(name: str, x: Tensor) -> Tensor:
    warnings.warn(
        f"Tensor.{name} is deprecated on 0-D tensors. Consider using x.conj().",
        UserWarning,
        stacklevel=3,
    )
    return conj(x)


METHODS["H"] = property(_conjugate_transposed)
METHODS["mH"] = property(_matrices_conjugate_transposed)


@operation("adjoint")
def adjoint(input: Tensor) -> Tensor:
    """The conjugate transpose of matrices, in the last two axes.

    >>> torch.adjoint(torch.tensor([[1 + 2j, 3 + 0j]])).shape
    torch.Size([2, 1])
    """
    return conj(transpose(require_tensor("adjoint", input), -2, -1))


@method("bfloat16")
def bfloat16(self: Tensor) -> Tensor:
    """Not there: NumPy has no such dtype.

    Raises:
        NotImplementedError: always; it says what to use.

    >>> try:
    ...     torch.ones(1).bfloat16()
    ... except NotImplementedError as error:
    ...     print(error)
    fgrad.torch has no bfloat16: NumPy has no such dtype; use torch.float32
    or torch.float16
    """
    return self.to(dtypes.bfloat16)  # type: ignore[no-any-return]
