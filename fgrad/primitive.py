"""The one record that holds everything a primitive is, the registry, constructors.

From the record follow both modes of differentiation, both back ends, printing, the
rows of the table test and the row of the operations page. A record has exactly one
derivative form; the other mode is derived from it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fgrad.caches import remembered
from fgrad.ir import Aval

Rule = Callable[..., Any]


@dataclass(frozen=True)
class Sample:
    """Operands and params on which the tests run a primitive."""

    operands: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unmapped:
    """An output of a batch rule that is the same for all elements of the batch."""

    value: Any


@dataclass(frozen=True)
class Body:
    """A program as a function of a list of inputs, which it empties, to a list.

    Inputs at the positions ``donated`` may be overwritten and returned.
    """

    program: Any
    donated: tuple[int, ...] = ()


@dataclass(frozen=True)
class Feed:
    """Operands of an equation that are inputs of programs among its params.

    Attributes:
        operands: their positions.
        param: the param: a program, or a tuple of programs that all take them.
        first: the position of the first one among the inputs.
        count: the param that tells how many they are, if one does.
        whole: whether an input is the operand itself, and not a slice of it.
    """

    operands: range
    param: str
    first: int = 0
    count: str | None = None
    whole: bool = True


def no_samples() -> list[Sample]:
    """The samples of a primitive that is tested elsewhere."""
    return []


@dataclass(eq=False)
class Primitive:
    """An operation of the IR. Calling it binds it: runs it, and records it if traced.

    Attributes:
        name: its name in programs.
        numpy: evaluates it on NumPy arrays: ``numpy(*operands, **params)``.
        aval: ``aval(*operand_avals, **params)``: an ``Aval``, a tuple if ``multiple``.
        derivs: elementwise: for operand i, the map ``derivs[i](t, out, *operands)``
            that multiplies ``t`` by the partial derivative, or None where it is zero.
        linear: groups of operand positions; the primitive is linear in each group.
        transpose: for ``linear``: ``transpose(ct, *operands, **params)`` gives one
            cotangent (or None) for each operand.
        jvp: ``jvp(tangents, outs, *operands, **params)`` gives the tangents of the
            outputs; a tangent that is zero comes and goes as None.
        vjp: for control flow, beside ``jvp``: ``vjp(cts, outs, *operands, active,
            present, **params)`` gives the cotangents of the operands.
        on_tape: for control flow: ``on_tape(trace, operands, **params)`` binds it where
            its derivatives are wanted, such as with residuals among its outputs.
        with_residuals: for control flow: ``with_residuals(active, **params)``: the
            primitive and the params of the same equation with its residuals as further
            outputs.
        inlines: it calls a Python function, and stands in derived programs:
            ``inlines(trace, **params)`` says whether what the function does is recorded
            in its place.
        prune: for control flow: ``prune(used, avals, **params)`` for the outputs that
            are used gives the positions of the operands and outputs that are kept, and
            the params.
        feeds: for control flow: ``feeds(count, **params)``: which of that many operands
            are inputs of which programs (`Feed`) that merely read them. They may be
            passed once, written into the programs, or dropped where nothing reads them.
        runs: for control flow: ``runs(**params)``: a function of the operands that
            needs NumPy only, and its keywords, in which a `Body` stands for a program.
        is_constant: its outputs do not vary with its operands (comparisons, argmax).
        multiple: it has several outputs (or none) and returns a tuple.
        calls_user: it calls a function of the user's, which may keep its operands.
        has_effect: it does more than compute outputs, so it is never left out, merged
            or moved.
        elementwise: its operands broadcast against each other.
        commutes: the order of its two operands is no matter, to the last bit.
        moves: it only moves elements of the first operand, so a mask moves with them.
        scales: elementwise: operands that the output is a multiple of, so that a zero
            there is a zero in the output.
        view_step: NumPy's result may share memory with the first operand:
            ``view_step(out, value, operands, params)`` gives the ``(name, params)``
            that lead from the operand to the view, or None where the result is a copy.
        depends_on_layout: whether that depends on the operand's memory layout.
        accumulate: the primitive that adds this one's result to an array given as first
            operand, and the names of the params that it takes over.
        in_place: like ``numpy``, but allowed to overwrite the first operand.
        operator: a faster equal of ``numpy`` on NumPy values, such as ``operator.mul``.
        specialized: ``specialized(*avals)``: a faster equal for operands of these
            types, or None.
        expression: format of its NumPy source, such as ``{0} * {1}``.
        scalar: the same for Python floats, where that gives NumPy's bits or raises
            (ArithmeticError, ValueError); by default what `expression` says for the
            four operations, and a call of a ufunc. A function of `math` is used only
            where it is found to agree with NumPy's. It may be a function of the
            params that gives this format, or None.
        calm: a condition on floats under which the ufunc gives no warning.
        augmented: the same for `in_place`, such as ``{0} += {1}``.
        into: ``into(*avals)``: format of the source that computes into a buffer
            ``{out}`` in C order, such as ``np.dot({0}, {1}, {out})``, or a function
            of the operands and, optionally, ``out`` that does; or None.
        takes_out: `numpy` takes an array for the result, which is none of its operands,
            as ``out``.
        slot: for what writes to a slot of an array: the position of the operand that
            is written.
        statements: for source that is no expression: ``statements(out, ins, avals,
            params, in_place)`` gives the lines that bind the name ``out``, or None.
        stacks: it works on the last axes and broadcasts those before, as NumPy's linear
            algebra does.
        batch_params: ``batch_params(size, **params)``: the params for operands that all
            have one more axis, of length ``size``, in front.
        batch: where neither of these (nor `elementwise`) gives it, the same on operands
            of which the mapped ones have one more axis in front: ``batch(size, mapped,
            *operands, **params)`` gives outputs with that axis. ``mapped`` has a flag
            for each operand; an output that is `Unmapped` does not have the axis.
        jax: how it is computed on jax arrays: ``jax(xla, *operands, **params)``, with
            jax's modules and what rules need as ``xla`` (`fgrad.lower.jax.Xla`), or the
            name of a function in ``jax.numpy``, ``linalg.`` of it, or ``lax.`` of jax.
            By default it is the function in ``jax.numpy`` of the same name, on operands
            converted as NumPy's ufunc does. Results are converted to the types that
            ``aval`` says.
        samples: makes the operands and params that tests use.
    """

    name: str
    numpy: Rule
    aval: Rule
    derivs: tuple[Rule | None, ...] | None = None
    linear: tuple[tuple[int, ...], ...] | str | None = None
    transpose: Rule | None = None
    jvp: Rule | None = None
    vjp: Rule | None = None
    on_tape: Rule | None = None
    with_residuals: Rule | None = None
    inlines: Rule | None = None
    prune: Rule | None = None
    feeds: Rule | None = None
    runs: Rule | None = None
    is_constant: bool = False
    multiple: bool = False
    calls_user: bool = False
    has_effect: bool = False
    elementwise: bool = False
    commutes: bool = False
    moves: bool = False
    scales: tuple[int, ...] = ()
    view_step: Rule | None = None
    depends_on_layout: bool = False
    accumulate: tuple[Primitive, tuple[str, ...]] | None = None
    in_place: Rule | None = None
    operator: Rule | None = None
    specialized: Rule | None = None
    expression: str | None = None
    scalar: str | Rule | None = None
    calm: str | None = None
    augmented: str | None = None
    into: Rule | None = None
    takes_out: bool = False
    slot: int | None = None
    statements: Rule | None = None
    stacks: bool = False
    batch_params: Rule | None = None
    batch: Rule | None = None
    jax: Rule | str | None = None
    samples: Callable[[], list[Sample]] = no_samples

    registry: ClassVar[dict[str, Primitive]] = {}
    bind: ClassVar[Rule]

    def __post_init__(self) -> None:
        forms = [self.derivs, self.linear, self.jvp]
        count = sum(form is not None for form in forms) + self.is_constant
        if count > 1:
            raise ValueError(f"primitive {self.name} has {count} derivative forms")
        if self.vjp is not None and self.jvp is None:
            raise ValueError(f"primitive {self.name} has a vjp and no jvp")
        if self.name in self.registry:
            raise ValueError(f"primitive {self.name} is registered twice")
        self.evaluate = self.operator or self.numpy
        self.registry[self.name] = self

    def __call__(self, *operands: Any, **params: Any) -> Any:
        return Primitive.bind(self, operands, params)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    @property
    def is_differentiable(self) -> bool:
        """Whether the record has a derivative form."""
        return not (self.derivs is None and self.linear is None and self.jvp is None)

    def is_step_static(self, operands: Sequence[Any]) -> bool:
        """Whether the view that these operands give is the same in every run."""
        is_array = len(operands) == 1 and operands[0].aval.ndim > 0
        return is_array and not self.depends_on_layout

    def infer(self, avals: Sequence[Aval], params: dict[str, Any]) -> tuple[Aval, ...]:
        """Types of the outputs for operands of these types."""
        out = self.aval(*avals, **params)
        return out if self.multiple else (out,)

    def linear_groups(self, count: int) -> tuple[tuple[int, ...], ...]:
        """Groups of operand positions of a linear primitive of ``count`` operands."""
        if self.linear == "all":
            return (tuple(range(count)),)
        if self.linear == "each":
            return tuple((position,) for position in range(count))
        assert isinstance(self.linear, tuple)
        return self.linear


@remembered(4096)
def _result_dtype(numpy: Any, dtypes: tuple[Any, ...]) -> Any:
    """The dtype that NumPy itself gives: from its table, which has no Python
    bool, or by running it on ones.
    """
    if isinstance(numpy, np.ufunc) and len(dtypes) == numpy.nin and bool not in dtypes:
        return numpy.resolve_dtypes((*dtypes, *(None,) * numpy.nout))[-1]
    ones = [d(1) if type(d) is type else np.ones((), d)[()] for d in dtypes]
    with np.errstate(all="ignore"):
        return np.asarray(numpy(*ones)).dtype


def broadcast_shapes(avals: Sequence[Aval]) -> tuple[int, ...]:
    """The shape that operands of these types broadcast to."""
    shapes = {aval.shape for aval in avals}
    return next(iter(shapes)) if len(shapes) == 1 else np.broadcast_shapes(*shapes)


def elementwise_aval(numpy: Rule) -> Rule:
    """The type rule of an elementwise primitive: shapes broadcast, NumPy promotes."""

    def aval(*avals: Aval, **params: Any) -> Aval:
        rule = functools.partial(numpy, **params) if params else numpy
        infer = _result_dtype.__wrapped__ if params else _result_dtype
        return Aval(broadcast_shapes(avals), infer(rule, tuple(a.dtype for a in avals)))

    return aval


def shift_axis(size: int, *, axis: Any, **params: Any) -> dict[str, Any]:
    """Params whose ``axis`` (an int, or a tuple) counts the batch axis, too."""
    shifted = axis + 1 if isinstance(axis, int) else tuple(k + 1 for k in axis)
    return {"axis": shifted, **params}


def keep_params(size: int, **params: Any) -> dict[str, Any]:
    """The params as they are."""
    return params


Range = tuple[float, float]


def _draw(
    shape: tuple[int, ...], low: float, high: float, dtype: str, seed: int
) -> Any:
    rng = np.random.default_rng(seed)
    values = rng.uniform(low, high, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.uniform(0.1, 0.9, shape)
    return np.asarray(values).astype(dtype)[()]


def elementwise_samples(ranges: tuple[Range, ...], kinds: str) -> list[Sample]:
    """Samples of the dtype kinds (``f``, ``c``, ``i``, ``b``), with broadcasting."""
    dtypes = {"f": ("float64", "float32"), "c": ("complex128",), "i": ("int64",)}
    dtypes["b"] = ("bool",)
    count = len(ranges)
    shapes: list[tuple[tuple[int, ...], ...]] = [((2, 3),) * count, ((),) * count]
    if count > 1:
        shapes.append(((2, 3), (3,), (2, 1))[:count])
        shapes.append(((1,), (2, 3), ())[:count])
    samples = []
    for kind in kinds:
        for dtype in dtypes[kind]:
            for row, shape_row in enumerate(shapes):
                drawn = [
                    _draw(shape, low, high, dtype, 7 * row + position)
                    for position, (shape, (low, high)) in enumerate(
                        zip(shape_row, ranges, strict=True)
                    )
                ]
                samples.append(Sample(tuple(drawn)))
    return samples


def elementwise(
    name: str,
    numpy: Rule,
    *derivs: Rule | None,
    ranges: tuple[Range, ...] | None = None,
    kinds: str = "f",
    **fields: Any,
) -> Primitive:
    """An elementwise primitive.

    Args:
        name: its name.
        numpy: a NumPy ufunc or a function that broadcasts like one.
        derivs: for each operand the map ``(t, out, *operands) -> t * partial``,
            or None where it is zero.
        ranges: for each operand the interval that samples are drawn from.
        kinds: dtype kinds of the samples.
        fields: further fields of the record.
    """
    count = len(ranges) if ranges else max(len(derivs), 1)
    intervals = ranges or ((-0.9, 0.9),) * count
    if derivs:
        fields["derivs"] = derivs
    fields.setdefault("samples", lambda: elementwise_samples(intervals, kinds))
    fields.setdefault("aval", elementwise_aval(numpy))
    return Primitive(name, numpy, elementwise=True, **fields)


def linear(
    name: str,
    numpy: Rule,
    aval: Rule,
    transpose: Rule,
    groups: tuple[tuple[int, ...], ...] | str = ((0,),),
    **fields: Any,
) -> Primitive:
    """A primitive that is linear in its first operand, or in each of ``groups``."""
    return Primitive(name, numpy, aval, linear=groups, transpose=transpose, **fields)
