"""Data types under PyTorch's names, and promotion by PyTorch's rules.

PyTorch promotes by category (bool, integer, floating point, complex): a tensor with
axes decides over a tensor without, and both over a Python number, unless the other has
the higher category. NumPy's rules differ: there int64 and float32 give float64.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


class dtype:
    """A data type; prints as PyTorch's does.

    Attributes:
        name: its name, without ``torch.``.
        numpy: NumPy's dtype.
        cpp: the name in PyTorch's messages, such as ``long int``.
        kind: the name in ``torch.LongTensor``.

    >>> torch.float32, torch.float32.itemsize, torch.int64.is_floating_point
    (torch.float32, 4, False)
    """

    __module__ = "torch"  # what print(type(x.dtype)) shows
    __slots__ = ("category", "cpp", "kind", "name", "numpy")

    def __init__(self, name: str, cpp: str, kind: str) -> None:
        self.name = name
        self.numpy: np.dtype[Any] = np.dtype(name)
        self.cpp = cpp
        self.kind = kind
        self.category = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}[self.numpy.kind]

    @property
    def is_floating_point(self) -> bool:
        """Whether values are floating-point numbers."""
        return self.category == 2

    @property
    def is_complex(self) -> bool:
        """Whether values are complex numbers."""
        return self.category == 3

    @property
    def is_signed(self) -> bool:
        """Whether values may be negative."""
        return self.numpy.kind in "ifc"

    def to_complex(self) -> dtype:
        """The complex dtype whose parts are of this one."""
        return of_numpy(np.promote_types(self.numpy, np.complex64))

    def to_real(self) -> dtype:
        """The dtype of the parts of complex values; itself for others."""
        return of_numpy(np.zeros(0, self.numpy).real.dtype)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.numpy.itemsize

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return of_numpy, (self.numpy,)


class absent(dtype):
    """A data type of PyTorch's that NumPy does not have: a name that scripts may pass
    on, such as in a table of dtypes. To use it is an error.
    """

    __slots__ = ("_instead",)
    __module__ = "torch"

    def __init__(
        self, name: str, cpp: str, kind: str, category: int, instead: str
    ) -> None:
        self.name, self.cpp, self.kind, self.category = name, cpp, kind, category
        self._instead = instead

    @property
    def numpy(self) -> Any:  # type: ignore[override]
        """NumPy's dtype.

        Raises:
            NotImplementedError: always; it says what to use.
        """
        raise NotImplementedError(
            f"fgrad.torch has no {self.name}: NumPy has no such dtype; use "
            f"{self._instead}"
        )

    def __reduce__(self) -> Any:
        return absent_of, (self.name,)


def absent_of(name: str) -> dtype:
    """The dtype of this name that NumPy does not have."""
    return ABSENT[name]


bool_ = dtype("bool", "bool", "Bool")
uint8 = dtype("uint8", "unsigned char", "Byte")
int8 = dtype("int8", "signed char", "Char")
int16 = dtype("int16", "short int", "Short")
int32 = dtype("int32", "int", "Int")
int64 = dtype("int64", "long int", "Long")
float16 = dtype("float16", "c10::Half", "Half")
float32 = dtype("float32", "float", "Float")
float64 = dtype("float64", "double", "Double")
complex64 = dtype("complex64", "c10::complex<float>", "ComplexFloat")
complex128 = dtype("complex128", "c10::complex<double>", "ComplexDouble")

bfloat16 = absent(
    "bfloat16", "c10::BFloat16", "BFloat16", 2, "torch.float32 or torch.float16"
)
complex32 = absent(
    "complex32", "c10::complex<c10::Half>", "ComplexHalf", 3, "torch.complex64"
)
ABSENT: dict[str, dtype] = {"bfloat16": bfloat16, "complex32": complex32}
ALL: tuple[dtype, ...] = (
    bool_,
    uint8,
    int8,
    int16,
    int32,
    int64,
    float16,
    float32,
    float64,
)
ALL += (complex64, complex128)
_BY_NUMPY: dict[Any, dtype] = {each.numpy: each for each in ALL}
_BY_PYTHON: dict[Any, dtype] = {bool: bool_, int: int64, float: float64}
_BY_PYTHON[complex] = complex128


class _Default:
    dtype = float32


def get_default_dtype() -> dtype:
    """The dtype of new tensors of Python floats; float32 unless it was changed.

    >>> torch.get_default_dtype()
    torch.float32
    """
    return _Default.dtype


def set_default_dtype(d: Any) -> None:
    """Change the dtype of new tensors of Python floats.

    Raises:
        TypeError: ``d`` is not a floating-point dtype.

    >>> torch.set_default_dtype(torch.float64)
    >>> torch.tensor([0.5]).dtype
    torch.float64
    >>> torch.set_default_dtype(torch.float32)
    """
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(
            "only floating-point types are supported as the default type"
            if isinstance(d, dtype)
            else f"invalid dtype object: {d!r}"
        )
    assert d.numpy.kind == "f"  # one that NumPy has
    _Default.dtype = d


def of_numpy(numpy_dtype: Any) -> dtype:
    """The dtype that equals one of NumPy's.

    Raises:
        TypeError: there is none.
    """
    found = _BY_NUMPY.get(numpy_dtype)
    if found is None:
        listed = ", ".join(each.name for each in reversed(ALL))
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{np.dtype(numpy_dtype)}. The only "
            f"supported types are: {listed}."
        )
    return found


def as_dtype(given: Any) -> dtype:
    """A dtype given as such, or as ``int``, ``float`` or ``bool``.

    Raises:
        TypeError: something else was given.
    """
    if isinstance(given, dtype):
        return given
    if given in _BY_PYTHON:
        return _BY_PYTHON[given]
    raise TypeError(f"argument 'dtype' must be torch.dtype, not {type(given).__name__}")


def of_number(number: Any) -> dtype:
    """The dtype that a Python number alone has in a tensor."""
    if type(number) is complex:
        return _Default.dtype.to_complex()
    return _Default.dtype if type(number) is float else _BY_PYTHON[type(number)]


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype of the higher category that holds both.

    >>> torch.promote_types(torch.int64, torch.float32)
    torch.float32
    """
    if type1 is type2:
        return type1
    if type1.category + type2.category == 5:  # floating point and complex
        return of_numpy(np.promote_types(type1.numpy, type2.numpy))
    if type1.category != type2.category:
        return type1 if type1.category > type2.category else type2
    return of_numpy(np.promote_types(type1.numpy, type2.numpy))


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """Promotion of two ranks of operands: the higher rank wins unless outclassed."""
    if higher is None or lower is None:
        return higher or lower
    if higher.is_complex:
        return higher
    if higher.is_floating_point:
        return higher.to_complex() if lower.is_complex else higher
    if higher is bool_ or lower.category > 1:
        return promote_types(higher, lower)
    return higher


def promoted(operands: Iterable[tuple[dtype, int]]) -> dtype:
    """The dtype of an operation on operands of given dtypes and ranks.

    The ranks: 0 for a tensor with axes, 1 for one without, 2 for a Python number.
    """
    ranks: list[dtype | None] = [None, None, None]
    for each, rank in operands:
        known = ranks[rank]
        ranks[rank] = each if known is None else promote_types(known, each)
    result = _combine(ranks[0], _combine(ranks[1], ranks[2]))
    assert result is not None
    return result
