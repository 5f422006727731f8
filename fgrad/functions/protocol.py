"""How plain NumPy calls reach fgrad: ufuncs, functions, conversions to numbers."""

import difflib
import importlib
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

import fgrad.ops  # noqa: F401  (fills the registry that the table of ufuncs is made from)
from fgrad.control.guard import guard
from fgrad.errors import (
    ConcretizationError,
    TracerConversionError,
    UnsupportedFunctionError,
)
from fgrad.fast import bind1, bind2
from fgrad.inplace import assign
from fgrad.ops.select import where as where_
from fgrad.primitive import Primitive
from fgrad.trace import Tracer, as_operand, bind, refresh
from fgrad.tracer import is_mapped

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
UFUNCS: dict[Any, Callable[..., Any]] = {}
LATER = {"numpy.fft": "fgrad.functions.fourier"}  # rules that are imported on first use
REDUCTIONS: dict[Any, Any] = {}
ACCUMULATIONS: dict[Any, Any] = {}
PRIMITIVES: dict[Any, Primitive] = {
    prim.numpy: prim
    for prim in Primitive.registry.values()
    if isinstance(prim.numpy, np.ufunc)
}


def implements(*functions: Any) -> Callable[[Any], Any]:
    """Register the decorated function as what these NumPy functions do on tracers."""

    def register(implementation: Any) -> Any:
        for function in functions:
            table = UFUNCS if isinstance(function, np.ufunc) else FUNCTIONS
            table[function] = implementation
        return implementation

    return register


def array_ufunc(
    self: Tracer, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
) -> Any:
    """`__array_ufunc__` of tracers."""
    if not kwargs and method == "__call__":
        prim = PRIMITIVES.get(ufunc)
        if prim is not None and ufunc not in UFUNCS:
            if len(inputs) == 1:
                return bind1(prim, inputs[0])
            return bind2(prim, inputs[0], inputs[1])
    if method != "__call__":
        return _ufunc_method(ufunc, method, inputs, kwargs)
    out = kwargs.pop("out", None)
    where = kwargs.pop("where", True)
    dtype = kwargs.pop("dtype", None)
    kwargs.pop("casting", None)
    if kwargs:
        _unsupported(f"{ufunc.__name__}({', '.join(kwargs)}=)")
    operands = list(inputs)
    if dtype is not None:
        operands = [cast(x, dtype) for x in operands]
    if where is True:
        result = apply_ufunc(ufunc, operands)
        return result if out is None else write_out(out, result)
    return _masked_ufunc(ufunc, operands, where, out)


def apply_ufunc(ufunc: Any, operands: list[Any]) -> Any:
    """A ufunc on operands of which at least one is traced."""
    composed = UFUNCS.get(ufunc)
    if composed is not None:
        return composed(*operands)
    prim = PRIMITIVES.get(ufunc)
    if prim is None:
        return _unsupported(ufunc.__name__)
    return bind(prim, [as_operand(x) for x in operands], {})


def implementation_of(function: Any) -> Callable[..., Any] | None:
    """What a NumPy function (other than a ufunc) does on tracers, if it has a rule."""
    if function not in FUNCTIONS:
        later = LATER.get(getattr(function, "__module__", ""))
        if later is not None:
            importlib.import_module(later)
    return FUNCTIONS.get(function)


def is_supported(function: Any) -> bool:
    """Whether a NumPy function (other than a ufunc) has a rule for traced values."""
    return callable(function) and implementation_of(function) is not None


def cast(x: Any, dtype: Any) -> Any:
    """A tracer or array converted to a dtype."""
    astype = Primitive.registry["astype"]
    name = np.dtype(dtype).name
    return astype(x, dtype=name) if type(x) is Tracer else np.asarray(x, dtype)[()]


def _masked_ufunc(ufunc: Any, operands: list[Any], where: Any, out: Any) -> Any:
    """``ufunc(x, out=o, where=m)``: o keeps its elements where m is False."""
    if out is None:
        raise UnsupportedFunctionError(
            f"{ufunc.__name__}(where=...) without out= leaves elements undefined; pass "
            "out=, or use np.where(condition, f(x), other)"
        )
    (target,) = out
    with np.errstate(all="ignore"):
        result = apply_ufunc(ufunc, operands)
    return write_out(out, where_(as_operand(where), result, target))


def written(result: Any, out: Any) -> Any:
    """A result, in the array given as ``out`` if there is one."""
    return result if out is None else write_out((out,), result)


def write_out(out: tuple[Any, ...], result: Any) -> Any:
    """Write results into the arrays given as ``out=``."""
    results = result if isinstance(result, tuple) else (result,)
    written = []
    for target, value in zip(out, results, strict=True):
        if target is None:
            written.append(value)
        elif type(target) is Tracer:
            written.append(assign(target, value))
        elif type(value) is Tracer:
            raise TracerConversionError(
                "out= is a raw NumPy array, which cannot hold a traced value: make it "
                "with fgrad.numpy (fgrad.numpy.empty(shape)) or leave out= away"
            )
        else:
            np.copyto(target, value)
            written.append(target)
    return tuple(written) if isinstance(result, tuple) else written[0]


def _ufunc_method(
    ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if method == "reduce" and ufunc in REDUCTIONS:
        kwargs.setdefault("axis", 0)
        given = {"out": _single(kwargs.pop("out", None)), **kwargs}
        kwargs = {k: v for k, v in given.items() if v is not None or k == "axis"}
        return REDUCTIONS[ufunc](*inputs, **kwargs)
    if method == "accumulate" and ufunc in ACCUMULATIONS:
        given = {"axis": 0, **kwargs, "out": _single(kwargs.get("out"))}
        return ACCUMULATIONS[ufunc](*inputs, **given)
    if method == "outer" and not kwargs:
        x, y = map(as_operand, inputs)
        shape = np.shape(x) + (1,) * np.ndim(y)
        return apply_ufunc(ufunc, [FUNCTIONS[np.reshape](x, shape), y])
    if method == "at" and type(inputs[0]) is Tracer and ufunc in (np.add, np.subtract):
        target, index, values = inputs
        FUNCTIONS[np.add.at](target, index, values if ufunc is np.add else -values)
        return None
    return _unsupported(f"{ufunc.__name__}.{method}")


def _single(out: Any) -> Any:
    return out[0] if isinstance(out, tuple) else out


# functions that take counts, positions or shapes after the first argument
COUNTING = frozenset(
    {
        np.array_split,
        np.broadcast_to,
        np.delete,
        np.insert,
        np.pad,
        np.partition,
        np.repeat,
        np.roll,
        np.split,
        np.tile,
        np.tril,
        np.triu,
    }
)


def _counted(value: Any) -> Any:
    """Traced integers as Python's: what they are is known when the shape is."""
    if type(value) in (tuple, list):
        return type(value)(map(_counted, value))
    is_count = type(value) is Tracer and not value.aval.ndim
    if is_count and value.aval.numpy_dtype.kind in "iu":
        return operator.index(value)
    return value


def array_function(
    self: Tracer, function: Any, types: Any, args: Any, kwargs: Any
) -> Any:
    """`__array_function__` of tracers."""
    if function in COUNTING:
        args = (*args[:1], *map(_counted, args[1:]))
        kwargs = {name: _counted(value) for name, value in kwargs.items()}
    implementation = implementation_of(function)
    if implementation is None:
        module = getattr(function, "__module__", "numpy") or "numpy"
        name = getattr(function, "__name__", str(function))
        return _unsupported(f"{module}.{name}")
    return implementation(*args, **kwargs)


def _unsupported(name: str) -> Any:
    known = sorted(
        {f.__name__ for f in FUNCTIONS if hasattr(f, "__name__")}
        | {ufunc.__name__ for ufunc in (*UFUNCS, *PRIMITIVES)}
    )
    near = difflib.get_close_matches(name.rsplit(".", 1)[-1], known, n=3, cutoff=0.6)
    hint = f"; near: {', '.join(near)}" if near else ""
    raise UnsupportedFunctionError(
        f"{name} has no rule for traced values{hint}. Compose it from supported "
        "functions, or apply it to fgrad.stop_gradient(x) if its gradient is not wanted"
    )


def concrete(tracer: Tracer, kind: str | None = "array") -> Any:
    """The NumPy value under all enclosing traces, of which Python sees the ``kind``.

    A trace whose record is to serve other values records that it was seen, unless what
    Python does with it is to show it (None).

    Raises:
        ConcretizationError: only the type is known.
    """
    value: Any = tracer
    guarded: list[Tracer] = []
    while type(value) is Tracer:
        if value.scope.policy.guards:
            guarded.append(value)
        if is_mapped(value):
            raise ConcretizationError(
                f"the value of {tracer.aval} differs from element to element of the "
                "mapped axis, so Python cannot branch on it; select with np.where, "
                f"branch with fgrad.cond, loop with fgrad.while_loop{_hint(tracer)}"
            )
        if value.origin is not None:
            refresh(value)
        is_forced = value.value is None and value.scope.force and kind is not None
        value = value.scope.force(value, kind) if is_forced else value.value
    if value is None:
        raise ConcretizationError(
            f"the value of {tracer.aval} is not known here, only its type; select with "
            "np.where, branch with fgrad.cond, loop with fgrad.while_loop, or trace "
            f"with values in place of types{_hint(tracer)}"
        )
    if kind is not None:
        for seen in guarded:
            guard(seen, kind, value)
    return value


def _hint(tracer: Tracer) -> str:
    return _INDEX_HINT if tracer.aval.numpy_dtype.kind in "iu" else ""


_INDEX_HINT = "; to index an array by it, write fgrad.numpy.array(array)[i]"


def _converts(what: str, convert: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        is_shared = self.scope.rule is not None and not is_mapped(self)
        if is_shared and type(self.value) is not Tracer:
            return convert(self.value, *args, **kwargs)
        is_free = self.scope.force and not self.scope.policy.guards
        if is_free or not self.aval.is_inexact:  # there is no gradient to lose
            return convert(concrete(self, _kind(self) or "array"), *args, **kwargs)
        if self.scope.policy.guards:
            raise TracerConversionError(
                f"{what} of a traced value ({self.aval}) under jit, whose program "
                "serves other values, too. Use NumPy functions; write traced values "
                "into arrays made by fgrad.numpy; or pass it as a static argument "
                "(static_argnums)"
            )
        if is_mapped(self):
            raise TracerConversionError(
                f"{what} of a traced value ({self.aval}) that differs from element to "
                "element of the mapped axis: it is no single number. Use NumPy "
                "functions; write traced values into arrays made by fgrad.numpy "
                "(fgrad.numpy.zeros in place of np.zeros)"
            )
        raise TracerConversionError(
            f"{what} of a traced value ({self.aval}) would lose its gradient. Use the "
            "NumPy function (np.sin in place of math.sin); write traced values into "
            "arrays made by fgrad.numpy (fgrad.numpy.zeros in place of np.zeros); or "
            "cut the gradient by name: float(fgrad.stop_gradient(t))"
        )

    return method


def install_protocol() -> None:
    """Give tracers NumPy's protocols and Python's conversions."""
    methods: dict[str, Any] = {
        "__array_ufunc__": array_ufunc,
        "__array_function__": array_function,
        "__array__": _converts("np.asarray", np.array),
        "__float__": _converts("float()", float),
        "__complex__": _converts("complex()", complex),
        "item": _converts("item()", lambda x, *args: np.asarray(x).item(*args)),
        "tolist": _converts("tolist()", lambda x: np.asarray(x).tolist()),
        "__bool__": lambda self: bool(concrete(self, "bool")),
        "__int__": lambda self: int(concrete(self, "int")),
        "__index__": lambda self: operator.index(concrete(self, "int")),
        "__trunc__": lambda self: int(concrete(self, "int")),
        "__repr__": lambda self: f"<traced {self.aval}: {_shown(self)}>",
        "__format__": lambda self, spec: format(concrete(self, _kind(self)), spec),
    }
    for name, method in methods.items():
        setattr(Tracer, name, method)


def _kind(tracer: Tracer) -> str | None:
    """What Python sees of a number as text: a count, which may name something."""
    kinds = {"i": "int", "u": "int", "b": "bool"}
    return None if tracer.aval.ndim else kinds.get(tracer.aval.numpy_dtype.kind)


def _shown(tracer: Tracer) -> str:
    try:
        return str(concrete(tracer, None))
    except ConcretizationError:
        return "unknown value"
