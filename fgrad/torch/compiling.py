"""Compiled programs of runs: their values, and their values with a gradient.

A run is a plain NumPy function of what entered it, so `fgrad.jit` compiles it, and
`fgrad.vjp` differentiates it inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fgrad.api import vjp
from fgrad.checks import CHECKS
from fgrad.errors import FgradError
from fgrad.jitting import jit
from fgrad.lower.quiet import quietly
from fgrad.torch.graph import Traced, trace_operation
from fgrad.torch.guards import RESULT, is_guarded
from fgrad.torch.in_order import reordered
from fgrad.torch.steps import Fragment, Reach, Structure, arguments
from fgrad.trace import Tracer, refresh
from fgrad.tracer import is_dynamic

Values = Sequence[Any]


class View(NamedTuple):
    """A result that shares memory with another, or with what entered.

    Attributes:
        number: of the result.
        base: of what owns the memory.
        steps: those that lead from there to the result.
    """

    number: int
    base: int
    steps: tuple[int, ...]


class Results(NamedTuple):
    """Which results of a run a program computes.

    Attributes:
        computed: their numbers; those that somebody holds, and the owners of views.
        views: are taken from these, or from what entered, afterwards.
        orders: of the axes of each of these in memory, see `Step`.
    """

    computed: tuple[int, ...]
    views: tuple[View, ...]
    orders: tuple[tuple[int, ...] | None, ...]


def results_of(structure: Structure, numbers: tuple[int, ...]) -> Results:
    """How results are computed that somebody holds."""
    computed: dict[int, None] = {}
    views = []
    for number in numbers:
        view = _view(structure, number)
        if view.steps:
            views.append(view)
        if view.base not in structure.position:
            computed[view.base] = None
    orders = [_order(structure, number) for number in computed]
    return Results(tuple(computed), tuple(views), tuple(orders))


def _order(structure: Structure, number: int) -> tuple[int, ...] | None:
    step = structure.steps[structure.maker[number]]
    return step.orders[number - step.first]


def _view(structure: Structure, number: int) -> View:
    base, steps = number, []
    while base not in structure.position:
        k = structure.maker[base]
        step = structure.steps[k]
        if not step.view:
            break
        steps.append(k)
        base = step.operands[0]  # type: ignore[assignment]
    return View(number, base, tuple(reversed(steps)))


def _not_compiled(*_: Any) -> Any:
    raise AssertionError("a program runs once it is built")


class Program:
    """A compiled function of what entered a run.

    Attributes:
        results: what it gives first.
        positions: of the values that it takes; None for all.
        run: the compiled function of these.
        checked: the same, where values are looked at (`fgrad.checks`).
    """

    def __init__(self, structure: Structure, results: Results, reach: Reach) -> None:
        self.results = results
        self._backend, count = structure.backend, len(structure.sources)
        self.positions = None if len(reach.values) == count else reach.values
        self.run: Callable[..., Any] = _not_compiled
        self.checked: Callable[..., Any] = _not_compiled
        self._has_order = self._backend != "numpy"  # results are as they should be
        self._is_steady = structure.enters_in_order

    def compile(self, function: Callable[..., Any], given: Values) -> bool:
        """Compile a function; false if it depends on more than types."""
        if self._backend != "numpy":
            return self._compile_for_xla(function, given)
        try:
            path = quietly(jit(function).signature, *given).paths[0]
        except FgradError:
            return False  # it runs operation by operation, and raises what it raises
        if path.guards():
            return False
        function = path.compile() or path
        self.run = function if path.is_quiet else partial(quietly, function)
        self.checked = path if path.is_quiet else partial(quietly, path)
        return True

    def _compile_for_xla(self, function: Callable[..., Any], given: Values) -> bool:
        run = jit(function, backend=self._backend)
        try:
            run(*given)
        except FgradError:
            return False
        self.run = self.checked = run
        return True

    def __call__(self, values: Values) -> Any:
        """What it gives for the values that entered."""
        run = self.checked if CHECKS else self.run
        return run(*self.chosen(values))

    def laid_out(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """Results with their axes in memory as they were when each operation ran alone.

        Where all that enters lies in order, the first call says how it always is.
        """
        if self._has_order:
            return arrays
        found = list(map(reordered, arrays, self.results.orders))
        is_same = all(new is old for new, old in zip(found, arrays, strict=True))
        self._has_order = is_same and self._is_steady
        return found

    def chosen(self, values: Values) -> Values:
        """Those of the values that entered that it takes."""
        positions = self.positions
        return values if positions is None else [values[k] for k in positions]


class Gradient(Program):
    """The gradients of one result, and values of results on the way.

    Attributes:
        leaves: the positions of the values with gradients.
    """

    def __init__(
        self, structure: Structure, number: int, held: tuple[int, ...]
    ) -> None:
        reach = structure.reach((number,))
        results = results_of(structure, held)
        super().__init__(structure, results, reach)
        self.leaves = reach.leaves
        self.reach = reach
        self._structure, self._number = structure, number

    def build(self, values: Values) -> bool:
        """Compile it; false if that cannot be."""
        structure, reach = self._structure, self.reach
        numbers = [structure.sources[k].number for k in reach.values]
        leaves = [structure.sources[k].number for k in reach.leaves]
        computed = self.results.computed
        unit = self._unit()

        def gradient(*given: Any) -> Any:
            known = dict(zip(numbers, given, strict=True))

            def outputs(*primals: Any) -> Any:
                env = known | dict(zip(leaves, primals, strict=True))
                structure.run(reach.steps, env)
                return env[self._number], [env[number] for number in computed]

            primals = [known[number] for number in leaves]
            _, pullback, held = vjp(outputs, *primals, has_aux=True)
            cotangents = pullback(unit)
            # PyTorch's gradients are conjugates of cotangents
            return held, [np.conj(x) if x.dtype.kind == "c" else x for x in cotangents]

        return self.compile(gradient, self.chosen(values))

    def _unit(self) -> Any:
        step = self._structure.steps[self._structure.maker[self._number]]
        aval = step.avals[self._number - step.first]
        return np.ones(aval.shape, aval.dtype)


# Where a saved value is: among what entered, the results that somebody holds, the other
# outputs of the program; or it is a constant; or a view of one of these, by steps.
IN, HELD, OUT, CONSTANT, PART = "in", "held", "out", "constant", "part"
Place = tuple[str, Any]
Saved = tuple[Place, ...]


class Forward(Program):
    """The values of results, and what backward needs of the operations.

    Attributes:
        fragments: for each step how it is recorded.
        saved: for each step where its saved values are.
        kept: the numbers of the results among these.
    """

    def __init__(self, structure: Structure, numbers: tuple[int, ...]) -> None:
        reach = structure.reach(numbers)
        super().__init__(structure, results_of(structure, numbers), reach)
        self._structure, self._reach = structure, reach
        self.fragments: dict[int, Fragment] = {}
        self.saved: dict[int, Saved] = {}
        self.kept: set[int] = set()

    def build(self, values: Values) -> bool:
        """Compile it; false if that cannot be."""
        structure, reach = self._structure, self._reach
        numbers = [structure.sources[k].number for k in reach.values]

        def forward(*given: Any) -> Any:
            env = dict(zip(numbers, given, strict=True))
            residuals: dict[int, tuple[int, Any]] = {}
            memory = self._inputs()
            for k in reach.steps:
                step = structure.steps[k]
                if not step.is_recorded:
                    structure.run((k,), env)
                    continue
                traced = self._trace_step(k, env)
                for number, value in enumerate(traced.values, step.first):
                    env[number] = value
                    self._note(number, value, memory)
                known = self._guarded(k, traced, memory)
                self.saved[k] = tuple(
                    self._locate(value, known, residuals)
                    for value in traced.trace.saved
                )
            outs = [env[number] for number in self.results.computed]
            return outs, [value for _, value in residuals.values()]

        return self.compile(forward, self.chosen(values))

    def _trace_step(self, k: int, env: dict[int, Any]) -> Traced:
        step = self._structure.steps[k]
        known = step.fragment
        assert known is not None and step.function is not None
        sources: dict[int, int] = {}
        for position, number in enumerate(known.layout):
            if number is not None:
                sources[number] = step.operands[position]  # type: ignore[assignment]
        values = [env[sources[number]] for number in range(len(sources))]
        traced = trace_operation(
            step.function, arguments(step, env), known.layout, values
        )
        self.fragments[k] = known._replace(path=traced.path, outs=traced.outs)
        return traced

    def _inputs(self) -> dict[int, Place]:
        """For each variable that is memory of the user's its place."""
        return {k: (IN, number) for k, number in enumerate(self._reach.values)}

    def _note(self, number: int, value: Any, memory: dict[int, Place]) -> None:
        """Note a result that somebody holds, or a view: they are the user's memory.

        This may change through ``.data``, and then so has what was saved, in PyTorch.
        On XLA what is saved is a value of its own.
        """
        if type(value) is not Tracer or self._backend != "numpy":
            return
        if value.origin is None:
            if number in self.results.computed:
                memory.setdefault(value.index, (HELD, number))
            return
        refresh(value)
        owner, steps = value.origin
        if owner.index in memory and not is_dynamic(steps):
            memory[value.index] = PART, (memory[owner.index], steps)

    def _guarded(
        self, k: int, traced: Traced, memory: dict[int, Place]
    ) -> dict[int, Place]:
        """The memory that a step may read later: of what PyTorch saves there, too."""
        name = self._structure.steps[k].name
        if not is_guarded(name, None):
            return {}
        if is_guarded(name, RESULT):
            return memory
        own = {x.index for x in traced.values if type(x) is Tracer}
        return {index: place for index, place in memory.items() if index not in own}

    def _locate(
        self,
        value: Any,
        memory: dict[int, Place],
        residuals: dict[int, tuple[int, Any]],
    ) -> Place:
        """Where a saved value is found after a call."""
        if type(value) is not Tracer:
            return CONSTANT, value
        if value.origin is not None:
            refresh(value)
        place = memory.get(value.index)
        if place is None:
            return OUT, residuals.setdefault(value.index, (len(residuals), value))[0]
        whole = place
        while whole[0] == PART:
            whole = whole[1][0]
        if whole[0] == HELD:
            self.kept.add(whole[1])
        return place
