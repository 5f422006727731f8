"""Functions whose derivatives the user gives, as primitives.

``custom_jvp`` has a rule for tangents, ``custom_vjp`` one for cotangents, ``external``
either, and a body that is never traced. The mode that is not given is the transpose of
the other. Rules run as `call` equations.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from fgrad.control.calls import Call, Leaves, call_, check_closure
from fgrad.control.closing import close
from fgrad.ir import Aval
from fgrad.ops.batching import spread
from fgrad.ops.reduce import sum_
from fgrad.ops.structure import zeros_in
from fgrad.primitive import Primitive
from fgrad.trace import Trace, Tracer, as_operand, bind_in, record, refresh, type_of
from fgrad.transforms.jvp import Flags
from fgrad.transforms.vmap import run_mapped

Avals = tuple[Aval, ...]


class Rule(ABC):
    """A function of leaves with derivatives of its own; equal to itself only.

    Its derivatives read *memos*, which `memos` selects from the operands and from what
    `forward` returns.
    """

    reads_operands = True  # whether the memos begin with the operands

    def __init__(self, name: str) -> None:
        self.name = name
        self._made: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return self.name

    @abstractmethod
    def primal(self, operands: Leaves) -> list[Any]:
        """The results."""

    def forward(self, operands: Leaves) -> list[Any]:
        """The results, and what else the derivatives read."""
        return self.primal(operands)

    @abstractmethod
    def memos(self, operands: Leaves, outs: Leaves) -> Leaves:
        """What the derivatives read, of the operands and of what `forward` returns."""

    @abstractmethod
    def pushed(self, memos: Leaves, tangents: Leaves, avals: Avals) -> list[Any]:
        """The tangents of the results, which have these types."""

    @abstractmethod
    def pulled(self, memos: Leaves, cts: Leaves, avals: Avals) -> list[Any]:
        """The cotangents of the operands, which have these types."""

    def types(self, function: Callable[[Leaves], Leaves], avals: Avals) -> Avals:
        """The types of what `primal` or `forward` returns, found by tracing it."""
        key = "types", function.__name__, avals
        if key not in self._made:
            closed = close(function, avals)
            check_closure(self.name, closed.operands)
            self._made[key] = tuple(map(typed, closed.out_avals))
        return self._made[key]  # type: ignore[no-any-return]

    def mapped(self, size: int, flags: Flags) -> "Rule":
        """The same on operands of which some are batches; always the same object."""
        key = "mapped", size, flags
        if key not in self._made:
            self._made[key] = self.make_mapped(size, flags)
        return self._made[key]  # type: ignore[no-any-return]

    def make_mapped(self, size: int, flags: Flags) -> "Rule":
        """A new rule on operands of which some are batches."""
        return MappedRule(self, size, flags)

    def forward_call(self) -> Call:
        """`forward` as a function that is recorded in its place."""
        if "forward" not in self._made:
            self._made["forward"] = Call(f"{self.name}.forward", self.forward)
        return self._made["forward"]  # type: ignore[no-any-return]

    def call(self, method: str, count: int, avals: Avals) -> Call:
        """`pushed` or `pulled` as a function of ``count`` memos and what follows."""
        key = method, count, avals
        if key not in self._made:
            bound = getattr(self, method)

            def function(leaves: Leaves) -> Leaves:
                return bound(leaves[:count], leaves[count:], avals)  # type: ignore[no-any-return]

            self._made[key] = Call(f"{self.name}.{method}", function)
        return self._made[key]  # type: ignore[no-any-return]


class MappedRule(Rule):
    """A rule on operands of which some are batches; all results are."""

    def __init__(self, rule: Rule, size: int, flags: Flags) -> None:
        super().__init__(f"vmap({rule.name})")
        self.rule, self.size, self.flags = rule, size, flags
        self.reads_operands = rule.reads_operands

    def primal(self, operands: Leaves) -> list[Any]:
        return self._map(self.rule.primal, self.flags, operands)

    def forward(self, operands: Leaves) -> list[Any]:
        return self._map(self.rule.forward, self.flags, operands)

    def memos(self, operands: Leaves, outs: Leaves) -> Leaves:
        return self.rule.memos(operands, outs)

    def pushed(self, memos: Leaves, tangents: Leaves, avals: Avals) -> list[Any]:
        flags = (*self._memo_flags(memos), *self.flags)
        own = tuple(element(aval, True) for aval in avals)
        call = self.rule.call("pushed", len(memos), own)
        return self._map(call, flags, [*memos, *tangents])

    def pulled(self, memos: Leaves, cts: Leaves, avals: Avals) -> list[Any]:
        flags = (*self._memo_flags(memos), *(True for _ in cts))
        own = tuple(map(element, avals, self.flags))
        call = self.rule.call("pulled", len(memos), own)
        found = self._map(call, flags, [*memos, *cts])
        pairs = zip(found, self.flags, strict=True)
        return [ct if is_mapped else sum_(ct, axis=(0,)) for ct, is_mapped in pairs]

    def _memo_flags(self, memos: Leaves) -> Flags:
        flags = self.flags if self.reads_operands else ()
        return (*flags, *(True for _ in range(len(memos) - len(flags))))

    def _map(
        self, function: Callable[[Leaves], Leaves], flags: Flags, leaves: Leaves
    ) -> list[Any]:
        results = run_mapped(function, self.size, leaves, flags)
        return [spread(self.size, as_operand(out), m) for out, m in results]


def element(aval: Aval, is_mapped: bool) -> Aval:
    """The type of one element of a batch."""
    return Aval(aval.shape[1:], aval.dtype) if is_mapped else aval


def typed(aval: Aval) -> Aval:
    """The type as NumPy has it: that of a Python number is that of its scalar."""
    return Aval(aval.shape, aval.numpy_dtype)


# --- the primitives


def _with_zeros(items: Leaves, likes: Leaves) -> list[Any]:
    """Tangents or cotangents, with zeros for those that are absent."""
    anchor = next(item for item in items if item is not None)
    return [
        zeros_in(anchor, typed(type_of(like))) if item is None else item
        for item, like in zip(items, likes, strict=True)
    ]


def _jvp(
    tangents: Leaves,
    outs: Leaves,
    *operands: Any,
    rule: Rule,
    count: int | None = None,
) -> list[Any]:
    memos = rule.memos(operands, outs)
    count = len(outs) if count is None else count
    moved = _with_zeros(tangents, operands)
    types = tuple(map(type_of, outs[:count]))
    call = rule.call("pushed", len(memos), types)
    found = call_(*memos, *moved, call=call, types=types)
    return [*found, *(None for _ in outs[count:])]


def _vjp(
    cts: Leaves,
    outs: Leaves,
    *operands: Any,
    active: Flags,
    present: Flags,
    rule: Rule,
    count: int | None = None,
) -> list[Any]:
    memos = rule.memos(operands, outs)
    count = len(outs) if count is None else count
    given = iter(cts)
    by_out = [next(given) if flag else None for flag in present]
    types = tuple(typed(type_of(x)) for x in operands)
    call = rule.call("pulled", len(memos), types)
    moved = _with_zeros(by_out[:count], outs[:count])
    found = call_(*memos, *moved, call=call, types=types)
    return [ct if flag else None for ct, flag in zip(found, active, strict=True)]


def _numpy(*operands: Any, rule: Rule) -> tuple[Any, ...]:
    return tuple(rule.primal(operands))


def _aval(*avals: Aval, rule: Rule) -> Avals:
    return rule.types(rule.primal, avals)


def _forward_numpy(*operands: Any, rule: Rule, count: int) -> tuple[Any, ...]:
    return tuple(rule.forward(operands))


def _forward_aval(*avals: Aval, rule: Rule, count: int) -> Avals:
    return rule.types(rule.forward, avals)


def _make(name: str) -> Primitive:
    """A function whose derivatives read operands and results."""

    def batch(size: int, mapped: Flags, *operands: Any, rule: Rule) -> list[Any]:
        return list(prim(*operands, rule=rule.mapped(size, tuple(mapped))))

    def on_tape(trace: Trace, operands: Leaves, **params: Any) -> Any:
        outs = bind_in(trace, prim, operands, params)
        values = [x.value if type(x) is Tracer and x.scope is trace else x for x in outs]
        check_closure(params["rule"].name, values, trace)
        return outs

    prim = Primitive(
        name,
        _numpy,
        _aval,
        jvp=_jvp,
        vjp=_vjp,
        on_tape=on_tape,
        multiple=True,
        batch=batch,
    )
    return prim


custom_jvp_ = _make("custom_jvp")
external_ = _make("external")


# --- a forward rule of its own


def _vjp_batch(size: int, mapped: Flags, *operands: Any, rule: Rule) -> list[Any]:
    return list(custom_vjp_(*operands, rule=rule.mapped(size, tuple(mapped))))


def _forward_batch(
    size: int, mapped: Flags, *operands: Any, rule: Rule, count: int
) -> list[Any]:
    batch_rule = rule.mapped(size, tuple(mapped))
    return list(custom_vjp_forward_(*operands, rule=batch_rule, count=count))


def _vjp_on_tape(trace: Trace, operands: Leaves, rule: Rule) -> Any:
    """Run the forward rule one level down, where outer traces see what it does."""
    codes: list[Any] = []
    values: list[Any] = []
    for x in operands:
        is_own = type(x) is Tracer and x.scope is trace
        if is_own and x.origin is not None:
            refresh(x)
        codes.append(x.index if is_own else type_of(x))
        values.append(x.value if is_own else x)
        trace.nested |= type(values[-1]) is Tracer
    outs = tuple(rule.forward(values))
    check_closure(rule.name, outs, trace)
    count = len(outs) - len(rule.memos(operands, outs))
    params = (("rule", rule), ("count", count))
    return record(trace, custom_vjp_forward_, codes, operands, params, outs)[:count]


def _vjp_with_residuals(
    active: Flags, avals: Sequence[Aval], *, rule: Rule
) -> tuple[Primitive, dict[str, Any]]:
    count = len(rule.types(rule.primal, tuple(avals)))
    return custom_vjp_forward_, {"rule": rule, "count": count}


def _forward_with_residuals(
    active: Flags, avals: Sequence[Aval], *, rule: Rule, count: int
) -> tuple[Primitive, dict[str, Any]]:
    """A derivative of the derivative goes through what the forward rule does."""
    return call_, {"call": rule.forward_call(), "types": rule.types(rule.forward, tuple(avals))}


custom_vjp_ = Primitive(
    "custom_vjp",
    _numpy,
    _aval,
    jvp=_jvp,
    vjp=_vjp,
    on_tape=_vjp_on_tape,
    with_residuals=_vjp_with_residuals,
    multiple=True,
    batch=_vjp_batch,
)
custom_vjp_forward_ = Primitive(
    "custom_vjp_forward",
    _forward_numpy,
    _forward_aval,
    jvp=_jvp,
    vjp=_vjp,
    with_residuals=_forward_with_residuals,
    multiple=True,
    batch=_forward_batch,
)
