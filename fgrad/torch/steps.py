"""The trie of recorded structures: what may follow what, and what is known of it.

A step is one operation after those before it. All that does not change from one run of
a structure to the next hangs on it: the types of results, how the operation was
recorded, and the compiled programs of runs that end here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from fgrad.caches import forgotten_by
from fgrad.ir import PYTHON_AVALS, Aval
from fgrad.ops.cut import stop_gradient
from fgrad.path import Path
from fgrad.sites import user_site
from fgrad.torch.graph import Node
from fgrad.torch.in_order import order_of
from fgrad.torch.reads import reads_of
from fgrad.torch.tensor import Tensor
from fgrad.torch.work import is_much_more, work_of

LONGEST = 4000  # operations of one run; it ends there, and the next one begins
LARGEST = 1 << 31  # bytes of results of one run; likewise
STEP_LIMIT = 200_000  # steps; past it all structures are forgotten and learnt again


class Fixed(NamedTuple):
    """An operand that is part of the structure, such as None."""

    value: Any


class Fragment(NamedTuple):
    """How an operation is recorded: its path, and what a node of it is made of.

    Attributes:
        own: the saved values, if the operation chose all of them itself; they are not
            worth a refusal of a second backward.
    """

    path: Path
    outs: tuple[int | None, ...]
    layout: tuple[int | None, ...]
    has_number: bool
    own: tuple[Any, ...] | None


class Source(NamedTuple):
    """A value that enters a run with a step: its number, its type and whether it
    requires a gradient.
    """

    number: int
    aval: Aval
    requires: bool


class Step:
    """An operation after others.

    Attributes:
        name: PyTorch's name of its node.
        function: what computes it.
        operands: for each operand, constants last, its number in the run or a `Fixed`.
        shown: how many of them PyTorch knows.
        view: the result may share memory with the first operand.
        sources: what enters with it.
        parts: the keys of these.
        first: the number of the first result.
        count: how many numbers there are after it.
        avals: the types of the results; `aval` is that of the only one.
        requires: whether each result requires a gradient.
        orders: of the axes of each result in memory; None for C order.
        is_full: a run ends here.
        shortcuts: children by calls of functions that lead to them, with the positions
            of the arguments that enter. See `repeating`.
        followers: by functions, the quick way of the last such call. See `following`.
        ends: what was derived for runs that end here.
        site: the user's line where it was first met.
    """

    def __init__(
        self,
        parent: Step | None,
        name: str,
        function: Callable[..., Any] | None,
        operands: tuple[int | Fixed, ...],
        shown: int,
        view: bool,
        sources: tuple[Source, ...],
        results: Sequence[Tensor],
        is_tuple: bool,
        parts: Sequence[Any] = (),
    ) -> None:
        self.parent, self.name, self.function = parent, name, function
        self.site = user_site()
        self.operands, self.shown, self.view = operands, shown, view
        self.sources, self.is_tuple = sources, is_tuple
        self.children: dict[tuple[Any, ...], Step] = {}
        self.shortcuts: dict[Any, tuple[Step, list[int]]] = {}
        self.followers: dict[Any, Any] = {}
        self.parts = list(parts)
        self.ends: dict[Any, Any] = {}
        self.avals = tuple(x._aval for x in results)
        self.aval: Any = None if is_tuple or parent is None else self.avals[0]
        self.requires = tuple(x._requires for x in results)
        self.is_required = bool(self.requires) and self.requires[0]
        self.orders = tuple(order_of(x._array) for x in results)
        before = 0 if parent is None else parent.count
        self.first: int = before + len(sources)
        self.count: int = self.first + len(results)
        self.depth: int = 0 if parent is None else parent.depth + 1
        size = sum(x._array.nbytes for x in results)
        self.bytes: int = size + (0 if parent is None else parent.bytes)
        self.is_full = self.depth >= LONGEST or self.bytes > LARGEST
        node = results[0]._node if any(self.requires) else None
        self.fragment = None if node is None else fragment_of(node)

    @property
    def is_recorded(self) -> bool:
        """Whether a result requires a gradient."""
        return self.fragment is not None

    @cached_property
    def structure(self) -> Structure:
        """The whole structure that ends here."""
        return Structure(self)

    @cached_property
    def work(self) -> float:
        """How much work the operation is; see `fgrad.torch.work`."""
        if self.fragment is not None:
            return work_of(self.fragment.path)
        return float(sum([aval.size for aval in self.avals]))


def fragment_of(node: Node) -> Fragment:
    """How the operation of a node was recorded."""
    assert node.trace is not None
    saved = node.trace.saved
    is_own = not node.has_number and all(type(x) in PYTHON_AVALS for x in saved)
    own = tuple(saved) if is_own else None
    return Fragment(node.path, node.outs, node.layout, node.has_number, own)


class Reach(NamedTuple):
    """What a result of a structure depends on.

    Attributes:
        steps: the numbers of steps, in order.
        numbers: all results of these, and all values that enter with or before them.
        values: the positions, among the values that enter, of those that are read.
        leaves: the positions of those that get gradients.
        saving: the numbers of the steps that save values for backward.
        is_refused: `backward` raises at one of the steps.
    """

    steps: tuple[int, ...]
    numbers: frozenset[int]
    values: tuple[int, ...]
    leaves: tuple[int, ...]
    saving: frozenset[int]
    is_refused: bool


class Structure:
    """The steps of a run, first to last.

    Attributes:
        steps: without the root.
        sources: all that enters, in order.
        maker: for each number the step that gives it; absent for what enters.
        backend: what compiles its programs.
    """

    def __init__(self, end: Step) -> None:
        steps: list[Step] = []
        step: Step | None = end
        while step is not None and step.parent is not None:
            steps.append(step)
            step = step.parent
        self.backend = end.name if step is None else step.name
        self.steps = steps[::-1]
        self.sources = [source for step in self.steps for source in step.sources]
        self.position = {x.number: k for k, x in enumerate(self.sources)}
        self.maker = {
            number: k
            for k, step in enumerate(self.steps)
            for number in range(step.first, step.count)
        }
        self._reaches: dict[tuple[int, ...], Reach] = {}
        self._parted: dict[tuple[int, tuple[int, ...]], bool] = {}

    @cached_property
    def enters_in_order(self) -> bool:
        """Whether all tensors that enter lie in memory in order."""
        keys = [key for step in self.steps for key in step.parts]
        return all(key[2] is None for key in keys if type(key) is tuple)

    def reach(self, numbers: tuple[int, ...]) -> Reach:
        """What results depend on."""
        found = self._reaches.get(numbers)
        if found is None:
            found = self._reaches[numbers] = self._find_reach(numbers)
        return found

    def is_apart(self, number: int, others: tuple[int, ...]) -> bool:
        """Whether a result is to be computed without others that are far more work."""
        key = number, others
        found = self._parted.get(key)
        if found is None:
            own, whole = self.reach((number,)), self.reach((number, *others))
            found = is_much_more(self, own.steps, whole.steps)
            self._parted[key] = found
        return found

    def _find_reach(self, numbers: tuple[int, ...]) -> Reach:
        read = set(numbers)
        active = set(numbers)  # those through which gradients flow
        steps: list[int] = []
        for k in range(len(self.steps) - 1, -1, -1):
            step = self.steps[k]
            results = range(step.first, step.count)
            if read.isdisjoint(results):
                continue
            steps.append(k)
            operands = [x for x in step.operands if type(x) is int]
            read.update(operands)
            if not active.isdisjoint(results):
                active.update(x for x in operands if self._is_required(x))
        given = [k for k, source in enumerate(self.sources) if source.number in read]
        leaves = [k for k in given if self.sources[k].number in active]
        leaves = [k for k in leaves if self.sources[k].requires]
        saving = [k for k in steps if self.saves(k)]
        return Reach(
            tuple(reversed(steps)),
            frozenset(read).union(
                n
                for k in steps
                for n in range(self.steps[k].first, self.steps[k].count)
            ),
            tuple(given),
            tuple(leaves),
            frozenset(saving),
            any(":" in self.steps[k].name for k in steps),
        )

    def _is_required(self, number: int) -> bool:
        k = self.maker.get(number)
        if k is None:
            return self.sources[self.position[number]].requires
        step = self.steps[k]
        return step.requires[number - step.first]

    def saves(self, k: int) -> bool:
        """Whether a step saves what is worth the refusal of a second backward."""
        fragment = self.steps[k].fragment
        if fragment is None or fragment.own is not None:
            return False
        return bool(reads_of(fragment.path).numbers)

    def run(self, steps: Sequence[int], env: dict[int, Any]) -> None:
        """Compute the results of steps; ``env`` holds values by number."""
        for k in steps:
            step = self.steps[k]
            assert step.function is not None
            out = step.function(*arguments(step, env))
            values = out if step.is_tuple else (out,)
            if not step.is_recorded:
                values = tuple(map(stop_gradient, values))
            env.update(zip(range(step.first, step.count), values, strict=True))


def arguments(step: Step, env: dict[int, Any]) -> list[Any]:
    """The operands of a step as values."""
    return [env[x] if type(x) is int else x.value for x in step.operands]  # type: ignore[union-attr]


def _root(backend: str) -> Step:
    return Step(None, backend, None, (), 0, False, (), (), False)


class _Steps:
    """The roots of all structures: of those on NumPy, and of those on XLA."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.root, self.on_xla = _root("numpy"), _root("jax")
        self.size = 0

    def grow(self) -> None:
        self.size += 1
        if self.size > STEP_LIMIT:
            self.clear()


STEPS = _Steps()
forgotten_by(STEPS.clear)
