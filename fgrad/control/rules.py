"""Functions whose derivatives the user gives, as rules.

``custom_jvp`` has a rule for tangents, ``custom_vjp`` one for cotangents, ``external``
either, and a body that is never traced. The mode that is not given is the transpose of
the other.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fgrad.caches import clear_caches
from fgrad.control.calls import Call, Leaves, check_closure
from fgrad.control.closing import close, typed
from fgrad.ir import Aval
from fgrad.ops.batching import spread
from fgrad.ops.reduce import sum_
from fgrad.trace import as_operand, type_of
from fgrad.transforms.jvp import Flags
from fgrad.transforms.vmap import run_mapped

Avals = tuple[Aval, ...]
KEPT = 256  # what a rule keeps of what it made
LEARNT = 256  # rules, after which structures are forgotten: these keep rules alive


class Outline(NamedTuple):
    """The types of what `Rule.primal` or `Rule.forward` returns, and the layout."""

    avals: Avals
    layout: Any


class Learnt:
    """Counts rules that are made, such as of functions defined anew at each call.

    What was derived from them holds them; past a number of rules it is forgotten.
    """

    count = 0

    @classmethod
    def add(cls) -> None:
        cls.count += 1
        if cls.count >= LEARNT:
            cls.count = 0
            clear_caches()


class _Last(threading.local):
    layout: Any = None


class Rule(ABC):
    """A function of leaves with derivatives of its own; equal to itself only.

    Its derivatives read *memos*, which `memos` selects from the operands and from what
    `forward` returns. The *layout* says how the leaves of results and memos form trees.
    It may differ from run to run, where Python branches on values.
    """

    reads_operands = True  # whether the memos begin with the operands
    is_jax = False  # whether `on_jax` does what `primal` does

    def __init__(self, name: str) -> None:
        self.name = name
        self._made: dict[Any, Any] = {}
        self._last = _Last()

    def __repr__(self) -> str:
        return self.name

    @abstractmethod
    def primal(self, operands: Leaves) -> list[Any]:
        """The results."""

    def forward(self, operands: Leaves) -> list[Any]:
        """The results, and what else the derivatives read."""
        return self.primal(operands)

    def on_jax(self, operands: Leaves) -> Leaves:
        """The results as arrays of jax, where the function is one of jax's."""
        raise NotImplementedError

    @abstractmethod
    def memos(self, operands: Leaves, outs: Leaves, layout: Any) -> Leaves:
        """What the derivatives read, of the operands and of what `forward` returns."""

    @abstractmethod
    def pushed(
        self, memos: Leaves, tangents: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        """The tangents of the results, which have these types."""

    @abstractmethod
    def pulled(
        self, memos: Leaves, cts: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        """The cotangents of the operands, which have these types."""

    @abstractmethod
    def count(self, layout: Any) -> int:
        """The number of results."""

    def forget(self) -> None:
        """Before a run, after which `layout` tells the layout."""
        self._last.layout = None

    def remember(self, layout: Any) -> None:
        """The layout of what `primal` or `forward` returns now."""
        self._last.layout = layout

    def layout(self, avals: Avals) -> Any:
        """That of the last run in this thread; from types alone if nothing ran."""
        last = self._last.layout
        return self.outline("primal", avals).layout if last is None else last

    def outline(self, method: str, avals: Avals) -> Outline:
        """The types and the layout of what `primal` or `forward` returns."""

        def make() -> Outline:
            closed = close(getattr(self, method), avals)
            check_closure(self.name, closed.operands)
            return Outline(tuple(map(typed, closed.out_avals)), self.layout(avals))

        return self.known(("outline", method, avals), make)  # type: ignore[no-any-return]

    def known(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is made once for each key, so that programs are reused."""
        found = self._made.get(key)
        if found is None:
            found = make()
            if len(self._made) >= KEPT:
                self._made.clear()
            found = self._made.setdefault(key, found)
        return found

    def mapped(self, size: int, flags: Flags) -> "Rule":
        """The same on operands of which some are batches."""
        make = self.make_mapped
        return self.known(("mapped", size, flags), lambda: make(size, flags))  # type: ignore[no-any-return]

    def make_mapped(self, size: int, flags: Flags) -> "Rule":
        """A new rule on operands of which some are batches."""
        return MappedRule(self, size, flags)

    def forward_call(self) -> Call:
        """`forward` as a function that is recorded in its place."""
        name = f"{self.name}.forward"
        return self.known("forward", lambda: Call(name, self.forward))  # type: ignore[no-any-return]

    def call(self, method: str, count: int, avals: Avals, layout: Any) -> Call:
        """`pushed` or `pulled` as a function of ``count`` memos and what follows."""

        def make() -> Call:
            bound = getattr(self, method)

            def function(leaves: Leaves) -> Leaves:
                return bound(leaves[:count], leaves[count:], avals, layout)  # type: ignore[no-any-return]

            return Call(f"{self.name}.{method}", function)

        return self.known((method, count, avals, layout), make)  # type: ignore[no-any-return]


class MappedLayout(NamedTuple):
    """The layout for one element, and which residuals are batches."""

    own: Any
    residuals: Flags


class MappedRule(Rule):
    """A rule on operands of which some are batches; all results are."""

    def __init__(self, rule: Rule, size: int, flags: Flags) -> None:
        super().__init__(f"vmap({rule.name})")
        self.rule, self.size, self.flags = rule, size, flags
        self.reads_operands = rule.reads_operands

    def primal(self, operands: Leaves) -> list[Any]:
        pairs = self._map(self.rule.primal, self.flags, operands)
        self.remember(())
        return self._spread(pairs)

    def forward(self, operands: Leaves) -> list[Any]:
        pairs = self._map(self.rule.forward, self.flags, operands)
        count = self.rule.count(self.rule.layout(self._own(operands)))
        residuals = pairs[count:]
        self.remember(tuple(is_mapped for _, is_mapped in residuals))
        return [*self._spread(pairs[:count]), *(as_operand(x) for x, _ in residuals)]

    def _own(self, operands: Leaves) -> Avals:
        avals = tuple(map(type_of, operands))
        return tuple(map(element, avals, self.flags))

    def forget(self) -> None:
        super().forget()
        self.rule.forget()

    def layout(self, avals: Avals) -> Any:
        own = self.rule.layout(tuple(map(element, avals, self.flags)))
        return MappedLayout(own, self._last.layout or ())

    def count(self, layout: Any) -> int:
        return self.rule.count(layout.own)

    def memos(self, operands: Leaves, outs: Leaves, layout: Any) -> Leaves:
        return self.rule.memos(operands, outs, layout.own)

    def pushed(
        self, memos: Leaves, tangents: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        flags = (*self._memo_flags(memos, layout), *self.flags)
        own = tuple(element(aval, True) for aval in avals)
        call = self.rule.call("pushed", len(memos), own, layout.own)
        return self._spread(self._map(call, flags, [*memos, *tangents]))

    def pulled(
        self, memos: Leaves, cts: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        flags = (*self._memo_flags(memos, layout), *(True for _ in cts))
        own = tuple(map(element, avals, self.flags))
        call = self.rule.call("pulled", len(memos), own, layout.own)
        found = self._spread(self._map(call, flags, [*memos, *cts]))
        pairs = zip(found, self.flags, strict=True)
        return [ct if is_mapped else sum_(ct, axis=(0,)) for ct, is_mapped in pairs]

    def _memo_flags(self, memos: Leaves, layout: Any) -> Flags:
        if not self.reads_operands:
            return layout.residuals  # type: ignore[no-any-return]
        return (*self.flags, *(True for _ in memos[len(self.flags) :]))

    def _map(
        self, function: Callable[[Leaves], Leaves], flags: Flags, leaves: Leaves
    ) -> list[tuple[Any, bool]]:
        return run_mapped(function, self.size, leaves, flags)

    def _spread(self, pairs: Sequence[tuple[Any, bool]]) -> list[Any]:
        return [spread(self.size, as_operand(out), m) for out, m in pairs]


def element(aval: Aval, is_mapped: bool) -> Aval:
    """The type of one element of a batch."""
    return Aval(aval.shape[1:], aval.dtype) if is_mapped else aval
