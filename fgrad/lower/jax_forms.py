"""Which function of jax a primitive is: what its record names, or a rule.

`jax.numpy` promotes otherwise than NumPy, so operands get the dtypes of NumPy's loop.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.caches import remembered
from fgrad.ir import PYTHON_NUMBERS, Aval
from fgrad.primitive import Primitive


def is_known(aval: Aval) -> bool:
    """Whether XLA has the dtype."""
    dtype = aval.numpy_dtype
    return dtype.kind in "biufc" and dtype.itemsize <= 8 * (1 + aval.is_complex)


@remembered(1024)
def loop_of(ufunc: Any, types: tuple[Any, ...]) -> tuple[Any, ...]:
    """The dtypes of operands and result of NumPy's loop for operands of these types."""
    known = (np.dtype(t) if t is bool else t for t in types)  # as NumPy has it
    return tuple(ufunc.resolve_dtypes((*known, None)))


def form_of(xla: Any) -> Callable[..., Any]:
    """The primitive as a function of jax arrays."""
    if callable(xla.prim.jax):
        return functools.partial(xla.prim.jax, xla)
    function, is_lax = _named(xla.jax, xla.prim)
    if function is None:
        raise xla.unsupported("its record has no jax form; give one (jax=)")
    if not isinstance(xla.prim.numpy, np.ufunc):
        return function  # type: ignore[no-any-return]
    return functools.partial(_by_loop, xla, function, is_lax)


@remembered(1024)
def _named(jax: Any, prim: Primitive) -> tuple[Any, bool]:
    """The function of jax that a record names, and whether it is one of ``lax``."""
    is_ufunc = isinstance(prim.numpy, np.ufunc)
    name = prim.jax or (prim.numpy.__name__ if is_ufunc else prim.name)
    module, _, short = str(name).rpartition(".")
    modules = {"": jax.numpy, "lax": jax.lax, "linalg": jax.numpy.linalg}
    return getattr(modules[module], short, None), module == "lax"


def _by_loop(xla: Any, function: Any, is_lax: bool, *operands: Any) -> Any:
    """A function on operands of the types that NumPy's own loop takes."""
    ufunc = xla.prim.numpy
    loop = xla.loop(ufunc)
    if is_lax and loop[0].kind == "b":  # sums and products of booleans: or, and
        function, is_lax = getattr(xla.np, ufunc.__name__), False
    values = [xla.cast(x, dtype) for x, dtype in zip(operands, loop, strict=True)]
    return function(*(xla.aligned(*values) if is_lax else values))


@remembered(8192)
def plain_form(
    jax: Any, prim: Primitive, ins: tuple[Aval | type, ...], outs: tuple[Aval, ...]
) -> Callable[..., Any] | None:
    """The function of ``lax`` where all arrays have the type that NumPy computes with.

    Most equations are such. ``ins`` has the types of arrays and of literal numbers.
    None where there is something else to convert.
    """
    if callable(prim.jax) or not isinstance(prim.numpy, np.ufunc) or len(outs) != 1:
        return None
    (out,) = outs
    function, is_lax = _named(jax, prim)
    fits = all(kind is out for kind in ins if type(kind) is Aval)
    if not is_lax or not fits or out.is_python or not out.is_inexact:
        return None
    types = (kind.dtype if isinstance(kind, Aval) else kind for kind in ins)
    loop = loop_of(prim.numpy, tuple(types))
    if set(loop) != {out.dtype} or not is_known(out):
        return None
    if all(kind is out for kind in ins):
        return function  # type: ignore[no-any-return]
    return lambda *operands: function(
        *(
            np.asarray(x, out.dtype) if type(x) in PYTHON_NUMBERS else x
            for x in operands
        )
    )
