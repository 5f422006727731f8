"""Run programs on NumPy: interpreted the first time, compiled from the second on."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.checks import Check, active_check
from fgrad.fast import evaluate_traced
from fgrad.ir import Atom, Lit, Program
from fgrad.lower.blocks import find_runs
from fgrad.lower.plan import Plan, make_plan
from fgrad.lower.source import compile_program

COMPILE_LIMIT = 20_000  # equations; a longer program stays interpreted


class Executable:
    """A program that runs on plain NumPy values.

    Results are new arrays: they alias neither each other nor the arguments, but for
    those at the positions ``donated``, which may be overwritten and returned.
    """

    def __init__(self, program: Program, donated: Sequence[int] = ()) -> None:
        self.program = program
        self._donated = donated
        self._compiled: Callable[[list[Any]], list[Any]] | None = None
        self._calls = 0

    @functools.cached_property
    def _plan(self) -> Plan:
        """Where results go; on traced arguments the program runs without."""
        return make_plan(self.program, self._donated)

    def __call__(self, arguments: list[Any]) -> list[Any]:
        """One result for each output; floating-point warnings are the caller's.

        The list of arguments is emptied, so that each is freed after its last use.
        """
        values = arguments
        if self.program.values:
            values = [*self.program.values, *arguments]
            arguments.clear()
        check = active_check()
        if check is not None:
            return self._interpret(values, check)
        if self._compiled is not None:
            return self._compiled(values)
        self._calls += 1
        if self._calls > 1 and len(self.program.eqns) <= COMPILE_LIMIT:
            program, runs = find_runs(self.program)
            plan = make_plan(program, self._donated) if runs else self._plan
            self._compiled = compile_program(program, plan, runs)
            return self._compiled(values)
        return self._interpret(values)

    def _interpret(self, values: list[Any], check: Check | None = None) -> list[Any]:
        program, plan = self.program, self._plan
        primals = (*program.consts, *program.ins)
        env: dict[Atom, Any] = dict(zip(primals, values, strict=True))
        values.clear()
        for number, eqn in enumerate(program.eqns):
            ins = [a.value if type(a) is Lit else env[a] for a in eqn.ins]
            position = None if check else plan.in_place.get(number)
            if position is None:
                is_python = all(a.aval.is_python for a in eqn.ins)
                run = eqn.prim.numpy if is_python else eqn.prim.evaluate
                out = run(*ins, **dict(eqn.params))
            elif eqn.prim.in_place is not None and position == 0:
                out = eqn.prim.in_place(*ins, **dict(eqn.params))
            else:
                out = eqn.prim.numpy(*ins, out=ins[position])
            if check is not None:
                check(eqn.prim, dict(eqn.params), ins, out, eqn.site)
            ins.clear()
            if number in plan.reads:
                out = out.copy()
            env.update(zip(eqn.outs, out if eqn.prim.multiple else (out,), strict=True))
            for var in plan.frees[number]:
                env.pop(var, None)
            if number in plan.in_place:  # the buffer goes by the name of the output
                env.pop(eqn.ins[plan.in_place[number]], None)
        outs = [a.value if type(a) is Lit else env[a] for a in program.outs]
        return [
            out.copy() if position in plan.copies else out
            for position, out in enumerate(outs)
        ]


def run_on(executable: Executable, arguments: list[Any], traced: bool) -> list[Any]:
    """Run a program; on traced arguments record it in the enclosing trace."""
    with np.errstate(all="ignore"):
        if traced:
            return evaluate_traced(executable.program, arguments)
        return executable(arguments)
