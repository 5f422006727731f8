"""Arrays of jax among what fgrad's functions take and return."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from fgrad.errors import BackendError
from fgrad.ir import Aval, Program
from fgrad.lower.jax import as_jax, import_jax
from fgrad.trace import as_operand, type_of
from fgrad.tracer import keeping

_KNOWN: dict[type, bool] = {}


def is_jax_array(x: Any) -> bool:
    """Whether a value is an array of jax, or a tracer of jax that stands for one.

    It does not import jax: without jax there are no arrays of it.
    """
    cls = type(x)
    known = _KNOWN.get(cls)
    if known is None:
        if "jax" not in sys.modules:
            return False
        known = _KNOWN[cls] = isinstance(x, import_jax().Array)
    return known


def is_jax_tracer(x: Any) -> bool:
    """Whether jax knows the type of a value only, since it traces."""
    return is_jax_array(x) and isinstance(x, import_jax().core.Tracer)


def keeping_jax() -> AbstractContextManager[None]:
    """Let arrays of jax that a traced function closes over stay where they are."""
    if not any(_KNOWN.values()):
        jax = import_jax()
        with jax.ensure_compile_time_eval():
            is_jax_array(jax.numpy.zeros(()))
    return keeping(frozenset(cls for cls, is_array in _KNOWN.items() if is_array))


def aval_of_argument(x: Any) -> Aval:
    """The type of an argument: an array of jax or of NumPy, or a number.

    Raises:
        BackendError: NumPy does not have its dtype.
    """
    if not is_jax_array(x):
        return type_of(x)
    if getattr(x.dtype, "kind", "V") not in "biufc":
        raise BackendError(
            f"an argument has the dtype {x.dtype}, which NumPy does not have: convert "
            "it (x.astype('float32')); make random numbers outside of the function"
        )
    return Aval(x.shape, x.dtype)


def as_argument(leaf: Any) -> Any:
    """A leaf as an argument of a compiled function.

    Raises:
        TypeError: it is no array or number.
    """
    if is_jax_array(leaf):
        return leaf
    try:
        value = as_operand(leaf)
        dtype = type_of(value).numpy_dtype
        if dtype.kind not in "biufc":
            raise TypeError(f"an array of dtype {dtype} is not numeric")
    except TypeError as error:
        raise TypeError(
            f"an argument of a jitted function is no array or number: {error}; name it "
            "in static_argnums or static_argnames if it is to be part of the program"
        ) from error
    is_foreign = isinstance(value, np.ndarray) and not dtype.isnative
    return value.astype(dtype.newbyteorder("=")) if is_foreign else value


def run_wide(run: Callable[..., Any], *values: Any) -> Any:
    """The result of a compiled function of which some arguments are not jax's.

    jax makes 64 bits of them only where that is enabled.
    """
    jax = sys.modules["jax"]
    if jax.config.jax_enable_x64:
        return run(*values)
    with jax.enable_x64(True):
        return run(*values)


def constants_of(program: Program) -> list[Any]:
    """The constants of a program as arrays of jax."""
    pairs = zip(program.values, program.consts, strict=True)
    return [x if is_jax_array(x) else as_jax(x, var.aval) for x, var in pairs]


def numpy_form(aval: Aval) -> Callable[[Any], Any]:
    """What makes of a result of this type what NumPy gives: an array that can be
    written to, or a scalar.
    """
    if aval.is_python:
        return lambda x: aval.dtype(x.item())
    return np.array if aval.ndim else _as_scalar


def _as_scalar(x: Any) -> Any:
    return np.asarray(x)[()]


def nbytes(values: Sequence[Any]) -> int:
    """The memory of arrays."""
    return sum(getattr(value, "nbytes", 0) for value in values)
