"""Looking into programs that run: ``print``, ``print_cotangent``, ``debug_nans``."""

import builtins
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.checks import active_check, set_check
from fgrad.errors import NonFiniteError
from fgrad.form import format_params
from fgrad.ir import Aval
from fgrad.ops.index import index
from fgrad.primitive import Primitive, Sample, linear
from fgrad.sites import Site
from fgrad.trace import (
    active_trace,
    as_operand,
    bind_in,
    type_of,
)

Flags = tuple[bool, ...]

# --- printing


def print(template: str, *args: Any, **kwargs: Any) -> None:
    """Print values where they are computed: in traced, mapped and looped code, too.

    Python's own ``print`` shows a tracer, once, while a body is traced. This one is
    part of the program: it prints each time it runs, and under `vmap` once for each
    element. The backward pass does not print again; see `print_cotangent` for that.

    Args:
        template: as of ``str.format``.
        args, kwargs: the values: arrays, or nested containers of them.

    >>> import numpy as np, fgrad
    >>> def step(total, x):
    ...     fgrad.print("total {}, x {x}", total, x=x)
    ...     return total + x, None
    >>> _ = fgrad.scan(step, 0.0, np.array([1.0, 2.0]))
    total 0.0, x 1.0
    total 1.0, x 2.0
    """
    leaves, treedef = tree.flatten((args, kwargs))
    operands = list(map(as_operand, leaves))
    params = {"format": Format(template, treedef)}
    trace = active_trace()  # it prints where it is called, whatever its operands are
    if trace is None:
        print_(*operands, **params)
    elif trace.rule is not None:
        trace.rule(print_, operands, params)
    else:
        bind_in(trace, print_, operands, params)


def print_cotangent(x: Any, template: str = "cotangent {}") -> Any:
    """Return ``x``, and print its cotangent when the backward pass comes by.

    Args:
        x: an array, or a nested container of them.
        template: as of ``str.format``, with one field.

    >>> import numpy as np, fgrad
    >>> def f(x):
    ...     return np.sum(fgrad.print_cotangent(x * 2.0, "ct {}") ** 2)
    >>> fgrad.grad(f)(np.array([1.0, 3.0]))
    ct [ 4. 12.]
    array([ 8., 24.])
    """
    return tree.map_leaves(lambda leaf: print_cotangent_(leaf, template=template), x)


class Format:
    """A template, and the structure of the values that it takes; a static param."""

    def __init__(self, template: str, treedef: tree.TreeDef) -> None:
        self.template = template
        self.treedef = treedef

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Format) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"<format {self.template!r}>"

    @property
    def _key(self) -> Any:
        return self.template, self.treedef

    def show(self, leaves: Sequence[Any]) -> None:
        """Print these values."""
        args, kwargs = tree.unflatten(self.treedef, leaves)
        builtins.print(self.template.format(*args, **kwargs))  # noqa: T201 (its job)


def _print_numpy(*operands: Any, format: Format) -> tuple[()]:
    format.show(operands)
    return ()


def _print_batch(size: int, mapped: Flags, *operands: Any, format: Format) -> list[Any]:
    for number in range(size):
        row = [
            index(x, number, at=("$",)) if is_mapped else x
            for x, is_mapped in zip(operands, mapped, strict=True)
        ]
        print_(*row, format=format)
    return []


def _print_samples() -> list[Sample]:
    _, treedef = tree.flatten(((1.0,), {}))
    return [Sample((np.ones(2),), {"format": Format("{}", treedef)})]


print_: Primitive = Primitive(
    "print",
    _print_numpy,
    lambda *avals, format: (),
    is_constant=True,
    multiple=True,
    has_effect=True,
    batch=_print_batch,
    samples=_print_samples,
)

_, _ONE = tree.flatten(((1.0,), {}))


def _print_cotangent_transpose(ct: Any, x: Any, *, template: str) -> Any:
    print_(ct, format=Format(template, _ONE))
    return (ct,)


print_cotangent_: Primitive = linear(
    "print_cotangent",
    lambda x, *, template: np.array(x)[()],
    lambda x, *, template: Aval(x.shape, x.numpy_dtype),
    _print_cotangent_transpose,
    batch_params=lambda size, **params: params,
    samples=lambda: [Sample((np.ones(2),), {"template": "{}"})],
)

# --- values that are not finite


@contextmanager
def debug_nans() -> Iterator[None]:
    """Raise at the first value that is not finite, forward or backward.

    In the ``with`` block every result of an operation on finite values is looked at,
    and the first NaN or infinity raises, with the operation and the user's line. It is
    slow: programs are interpreted. It concerns the thread that enters it.

    Raises:
        NonFiniteError: an operation on finite values gave NaN or infinity.

    >>> import numpy as np, fgrad
    >>> try:
    ...     with fgrad.debug_nans():
    ...         fgrad.grad(lambda x: np.sum(np.sqrt(x)))(np.array([0.0, 1.0]))
    ... except fgrad.errors.NonFiniteError as error:
    ...     print(str(error)[:66])
    the first infinity is the result of `f64[2] = divide float f64[2]`
    """
    before = active_check()
    set_check(_require_finite)
    try:
        with np.errstate(all="ignore"):  # the error says more than a warning
            yield
    finally:
        set_check(before)


def _require_finite(
    prim: Primitive,
    params: dict[str, Any],
    operands: Sequence[Any],
    out: Any,
    site: Site | None = None,
) -> None:
    for value in out if prim.multiple else (out,):
        for name, test in (("NaN", np.isnan), ("infinity", np.isinf)):
            if _has(test, value) and not any(_has(test, x) for x in operands):
                raise NonFiniteError(_report(name, prim, params, operands, value, site))


def _has(test: Any, x: Any) -> bool:
    return type_of(x).is_inexact and bool(np.any(test(x)))


def _report(
    name: str,
    prim: Primitive,
    params: dict[str, Any],
    operands: Sequence[Any],
    value: Any,
    site: Site | None,
) -> str:
    types = " ".join(map(repr, map(type_of, operands)))
    equation = f"{type_of(value)} = {prim.name}{format_params(tuple(params.items()))}"
    where = ""
    if site is not None:
        where = f", in a program made from {site}: `{site.text}`"
    return f"the first {name} is the result of `{equation} {types}`{where}"
