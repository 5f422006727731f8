"""The operators and methods of arrays, given to tracers."""

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fgrad.fast import bind1, bind2
from fgrad.functions import elementwise, indexing, shape
from fgrad.functions.flat import Flat
from fgrad.functions.protocol import FUNCTIONS, array_function
from fgrad.inplace import assign, is_mutable
from fgrad.ops import contract, logic, transcendental
from fgrad.ops import elementwise as ops
from fgrad.ops.structure import astype, copy
from fgrad.primitive import Primitive
from fgrad.trace import Tracer, as_operand, refresh, type_of


def _binary(prim: Primitive) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def method(self: Tracer, other: Any) -> Any:
        out = bind2(prim, self, other)
        return _with_number(out, other) if self.aval.is_python else out

    def reflected(self: Tracer, other: Any) -> Any:
        out = bind2(prim, other, self)
        return _with_number(out, other) if self.aval.is_python else out

    return method, reflected


def _with_number(out: Any, other: Any) -> Any:
    """What an operator gives for a Python number and another operand."""
    return _as_number(out) if type_of(other).is_python else out


def _as_number(out: Any) -> Any:
    """What Python's operators give for Python's numbers: such a number.

    A product of it with an array has the array's dtype, unlike one with a NumPy scalar.
    """
    kind = _PYTHON_KINDS.get(out.aval.dtype.kind) if type(out) is Tracer else None
    return out if kind is None else ops.number(out, kind=kind)


_times = _binary(ops.multiply)[1]


def _multiplied(self: Tracer, other: Any) -> Any:
    """``other * self``, which repeats a sequence where self is a count."""
    is_count = not self.aval.ndim and self.aval.numpy_dtype.kind in "iu"
    if is_count and isinstance(other, tuple | list | str):
        count: Any = self
        return other * operator.index(count)
    return _times(self, other)


def _unary(prim: Primitive) -> Callable[[Tracer], Any]:
    def method(self: Tracer) -> Any:
        out = bind1(prim, self)
        return _as_number(out) if self.aval.is_python else out

    return method


def _divmod(x: Any, y: Any) -> Any:
    outs = elementwise.divmod_(x, y)
    if type_of(x).is_python and type_of(y).is_python:
        return tuple(map(_as_number, outs))
    return outs


def _power(self: Tracer, other: Any) -> Any:
    out = elementwise.power(self, other)
    return _with_number(out, other) if self.aval.is_python else out


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Tracer, other: Any) -> Any:
        result = function(self, other)
        return assign(self, result) if is_mutable(self) else result

    return method


_PYTHON_KINDS = {"i": "int", "f": "float", "c": "complex"}
OPERATORS = {
    "add": ops.add,
    "sub": ops.subtract,
    "mul": ops.multiply,
    "truediv": ops.divide,
    "floordiv": ops.floor_divide,
    "mod": ops.remainder,
    "matmul": contract.matmul,
    "and": logic.bitwise_and,
    "or": logic.bitwise_or,
    "xor": logic.bitwise_xor,
    "lshift": logic.left_shift,
    "rshift": logic.right_shift,
}
COMPARISONS = {
    "eq": logic.is_equal,
    "ne": logic.is_not_equal,
    "lt": logic.is_less,
    "le": logic.is_less_equal,
    "gt": logic.is_greater,
    "ge": logic.is_greater_equal,
}


def _function(numpy_function: Any) -> Callable[..., Any]:
    """A method that is the function of the same name."""

    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        return array_function(self, numpy_function, (), (self, *args), kwargs)

    method.__name__ = numpy_function.__name__
    return method


NAMED = [
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "argpartition",
    "clip",
    "compress",
    "cumprod",
    "cumsum",
    "diagonal",
    "dot",
    "max",
    "mean",
    "min",
    "nonzero",
    "prod",
    "ptp",
    "put",
    "ravel",
    "repeat",
    "round",
    "searchsorted",
    "squeeze",
    "std",
    "sum",
    "swapaxes",
    "take",
    "trace",
    "var",
]


def _astype(self: Tracer, dtype: Any, *args: Any, **kwargs: Any) -> Any:
    name = np.dtype(dtype).name
    if name == self.aval.dtype.name and kwargs.get("copy") is False:
        return self
    return astype(self, dtype=name)


def _sort(self: Tracer, axis: int = -1, **kwargs: Any) -> None:
    assign(self, FUNCTIONS[np.sort](self, axis=axis))


def _partition(self: Tracer, kth: Any, axis: int = -1, **kwargs: Any) -> None:
    assign(self, FUNCTIONS[np.partition](self, kth, axis=axis))


def _fill(self: Tracer, value: Any) -> None:
    self[...] = value  # type: ignore[index]


def _reshape(self: Tracer, *new: Any, order: str = "C", **kwargs: Any) -> Any:
    target = new[0] if len(new) == 1 else new
    return shape.reshape(self, target, order=order)


def _transpose(self: Tracer, *axes: Any) -> Any:
    given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    return shape.transpose(self, given or None)


def _length(self: Tracer) -> int:
    if not self.aval.ndim:
        raise TypeError("len() of unsized object")
    return self.aval.shape[0]


def _iterate(self: Tracer) -> Iterator[Any]:
    if not self.aval.ndim:
        raise TypeError("iteration over a 0-d array")
    return (indexing.getitem(self, k) for k in range(self.aval.shape[0]))


def _copy(self: Tracer, *args: Any, **kwargs: Any) -> Any:
    if self.origin is not None:
        refresh(self)
    return copy(self)


def _round_number(self: Tracer, digits: int | None = None) -> Any:
    return elementwise.round_(self, digits or 0)


def _contains(self: Tracer, element: Any) -> bool:
    return bool(np.any(logic.is_equal(self, as_operand(element))))


def _set_part(part: str) -> Callable[[Tracer, Any], None]:
    def setter(self: Tracer, value: Any) -> None:
        if part == "real" and not self.aval.is_complex:
            self[...] = value  # type: ignore[index]
        elif part == "real":
            self[...] = value + 1j * ops.imag(self)  # type: ignore[index]
        else:
            self[...] = ops.real(self) + 1j * value  # type: ignore[index]

    return setter


PROPERTIES: dict[str, property] = {
    "shape": property(
        lambda self: self.aval.shape,
        lambda self, new: shape.set_shape(self, new),
    ),
    "dtype": property(lambda self: self.aval.numpy_dtype),
    "ndim": property(lambda self: self.aval.ndim),
    "size": property(lambda self: self.aval.size),
    "itemsize": property(lambda self: self.aval.numpy_dtype.itemsize),
    "nbytes": property(lambda self: self.aval.size * self.aval.numpy_dtype.itemsize),
    "T": property(lambda self: shape.transpose(self)),
    "mT": property(lambda self: contract.swap_last(self)),
    "real": property(elementwise.real, _set_part("real")),
    "imag": property(elementwise.imag, _set_part("imag")),
    "flat": property(Flat),
}


def install_methods() -> None:
    """Give tracers the operators, methods and properties of NumPy arrays."""
    methods: dict[str, Any] = {name: _function(getattr(np, name)) for name in NAMED}
    for name, prim in OPERATORS.items():
        method, reflected = _binary(prim)
        methods[f"__{name}__"] = method
        methods[f"__r{name}__"] = reflected
        methods[f"__i{name}__"] = _in_place(method)
    for name, prim in COMPARISONS.items():
        methods[f"__{name}__"] = _binary(prim)[0]
    methods |= {
        "__rmul__": _multiplied,
        "__pow__": _power,
        "__rpow__": _binary(transcendental.power)[1],
        "__ipow__": _in_place(_power),
        "__divmod__": _divmod,
        "__rdivmod__": lambda self, other: _divmod(other, self),
        "__neg__": _unary(ops.negative),
        "__pos__": _unary(ops.positive),
        "__abs__": _unary(ops.absolute),
        "__invert__": _unary(logic.invert),
        "__round__": _round_number,
        "__len__": _length,
        "__iter__": _iterate,
        "__contains__": _contains,
        "__getitem__": indexing.getitem,
        "__setitem__": indexing.setitem,
        "__copy__": _copy,
        "__deepcopy__": lambda self, memo: _copy(self),
        "astype": _astype,
        "copy": _copy,
        "conj": _unary(ops.conjugate),
        "conjugate": _unary(ops.conjugate),
        "fill": _fill,
        "flatten": lambda self, order="C": shape.flatten(self, order),
        "partition": _partition,
        "reshape": _reshape,
        "sort": _sort,
        "transpose": _transpose,
        "view": lambda self, *args: shape.view(self, *args),
    }
    for name, method in (methods | PROPERTIES).items():
        setattr(Tracer, name, method)
