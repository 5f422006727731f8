"""Program -> the source of a function of its inputs, which returns a tree.

That is what `jit` calls, and what an exported module holds. Constants are globals, and
so is, for each guard, the function ``other_<number>`` that is called in its place where
the guard's value is another than the traced one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.ir import Eqn, Program, Var
from fgrad.lower.blocks import Run, find_runs
from fgrad.lower.buffers import Buffers, assign_buffers
from fgrad.lower.plan import Plan, make_lasting_plan, make_plan
from fgrad.lower.quiet import quiet_lines
from fgrad.lower.results import unshared
from fgrad.lower.source import FunctionWriter, run_lines
from fgrad.lower.statements import Globals
from fgrad.passes import uncut
from fgrad.primitive import Body

Lines = list[str]
Names = Mapping[Var, str]


@dataclass(frozen=True)
class Mode:
    """What a path's function is for.

    Attributes:
        is_quiet: it runs without floating-point warnings.
        is_portable: it is part of a module, and must not depend on NumPy's insides.
        tag: part of the names of the functions that guards call.
    """

    is_quiet: bool
    is_portable: bool = False
    tag: str = ""


@dataclass(frozen=True)
class Layout:
    """How a program is run: the order of its equations, and where results go.

    Attributes:
        taken: the inputs whose memory results use.
    """

    program: Program
    plan: Plan
    runs: Sequence[Run]
    buffers: Buffers
    taken: Sequence[Var] = ()


def lay_out(program: Program, donated: Sequence[int] = ()) -> Layout:
    """Find the runs, and plan the memory, of a program.

    Inputs at the positions ``donated`` may be overwritten and returned, unless a guard
    may need them for another path.
    """
    ordered, runs = find_runs(uncut(program), sums=True)
    has_guards = any(eqn.prim.name == "guard" for eqn in program.eqns)
    given = () if has_guards else donated
    plan = make_lasting_plan(ordered, given)
    plan = replace(plan, reuses={})  # the buffers that are kept serve for that
    taken = _taken(ordered, plan, given)
    return Layout(ordered, plan, runs, assign_buffers(ordered, plan, runs), taken)


def _taken(program: Program, plan: Plan, donated: Sequence[int]) -> list[Var]:
    """The donated inputs that are overwritten, or returned as they are."""
    used = {program.eqns[number].ins[at] for number, at in plan.in_place.items()}
    used |= {x for k, x in enumerate(program.outs) if k not in plan.copies}
    found = [program.ins[position] for position in donated]
    return [var for var in found if var in used and not var.aval.is_python]


class PathWriter(FunctionWriter):
    """Writes the function of a path, with its guards."""

    def __init__(
        self, layout: Layout, names: Names, path: str, known: Globals, mode: Mode
    ) -> None:
        super().__init__(
            layout.program,
            layout.plan,
            layout.runs,
            layout.buffers,
            names,
            path,
            known,
        )
        self.path, self.mode = path, mode
        self.arguments = [self.table[var] for var in layout.program.ins]
        self.given = list(self.arguments)  # what functions in its place are called with
        self.stays = {*layout.program.ins, *layout.program.consts}
        self.taken = layout.taken
        self.leave: Lines = []  # what is done before it returns

    def function(self, name: str, body: Lines, is_quiet: bool) -> Lines:
        """The lines of the whole function."""
        lines = [f"def {name}({', '.join(self.arguments)}):"]
        if not is_quiet:
            return [*lines, *body]
        before, after = quiet_lines(self.globals.values, self.mode.is_portable)
        lines += [f"    {line}" for line in before]
        lines += [f"    {line}" for line in body]
        return [*lines, *(f"    {line}" for line in after)]

    def take_donated(self) -> None:
        """Write the lines that copy donated arrays which are not only the function's.

        That is so where an array is also part of another argument, or not writeable, or
        may overlap itself. The bounds of memory are compared, which takes no search.
        """
        waiting = [var for var in self.program.ins if var.aval.ndim]
        for var in self.taken:
            waiting = [other for other in waiting if other is not var]
            name = self.table[var]
            tests = [f"not ({name}.flags.forc and {name}.flags.writeable)"]
            tests += [
                f"np.may_share_memory({name}, {self.table[other]})" for other in waiting
            ]
            self.write(f"if {' or '.join(tests)}:")
            self.write(f"{name} = {name}.copy('K')  # donated, but in use elsewhere", 2)

    def take_buffers(self) -> None:
        """Write the lines that take the arrays that are kept, or make new ones."""
        buffers = self.buffers
        if not buffers.avals:
            return
        spare, new = f"spare_{self.path}", f"new_buffers_{self.path}"
        self.globals.definitions[spare] = [f"{spare} = []"]
        arrays = [
            f"        np.empty({aval.shape}, {aval.numpy_dtype.name!r}),"
            for aval in buffers.avals
        ]
        head = ["", "", f"def {new}():", "    return ["]
        self.globals.definitions[new] = [*head, *arrays, "    ]"]
        names = ", ".join(f"kept{k}" for k in range(len(buffers.avals)))
        self.write("try:")
        self.write(f"kept = {spare}.pop()  # no other call uses them", 2)
        self.write("except IndexError:")
        self.write(f"kept = {new}()", 2)
        self.write(f"{names}{',' if len(buffers.avals) == 1 else ''} = kept")
        self.leave.append(f"{spare}.append(kept)")

    def lines_of(self, number: int, eqn: Eqn) -> Lines:
        if eqn.prim.name != "guard":
            return super().lines_of(number, eqn)
        params = dict(eqn.params)
        (value,) = (self.table[atom] for atom in eqn.ins)
        test, observed = self._test(value, params["kind"], params["expected"])
        other = f"other_{self.mode.tag}{params['number']}"
        inside = self.leave
        if inside and params["kind"] == "array":  # which may be in a kept buffer
            inside = [f"result = {observed}", *inside]
            observed = "result"
        call = ", ".join([observed, *self.given])
        inside = [*inside, f"return {other}({call})"]
        return [f"if {test}:", *(f"    {line}" for line in inside)]

    def buffer_of(self, var: Var) -> str | None:
        number = self.buffers.results.get(var)
        if number is None or self.mode.is_portable:
            return super().buffer_of(var)
        known = f"results_{self.path}_{number}"
        self.globals.definitions[known] = [f"{known} = []  # returned before"]
        self.globals.values["unshared"] = unshared
        return f"unshared({known}, {var.aval.shape}, {var.aval.numpy_dtype.name!r})"

    def _test(self, value: str, kind: str, expected: Any) -> tuple[str, str]:
        """Whether a guard fails, and what was observed instead."""
        if kind == "bool":
            return (f"not {value}", "False") if expected else (value, "True")
        if kind == "int":
            return f"int({value}) != {expected}", f"int({value})"
        self.globals.values["array_key"] = array_key
        key = self.statements.static("expected", expected)
        return f"array_key({value}) != {key}", f"array_key({value})"

    def delete(self, variables: Sequence[Var]) -> None:
        super().delete([var for var in variables if var not in self.stays])


def body_writer(known: Globals) -> None:
    """Let bodies of control flow be functions of their own."""

    def write(body: Body) -> str:
        name = f"body_{sum(key.startswith('body_') for key in known.definitions)}"
        known.definitions[name] = []  # the name is taken
        program, runs = find_runs(body.program)
        plan = make_plan(program, body.donated)
        lines, _ = run_lines(program, plan, runs, name, known)
        del known.definitions[name]  # to stand behind what it refers to
        known.definitions[name] = ["", "", *lines]
        return name

    known.body = write


def array_key(value: Any) -> Any:
    """What tells an array from others: shape, dtype, bytes."""
    array = np.asarray(value)
    return array.shape, array.dtype.str, array.tobytes()


def path_function(writer: PathWriter, treedef: tree.TreeDef) -> Lines:
    """The lines of the function that a writer writes."""
    program, known = writer.program, writer.globals
    for var, value in zip(program.consts, program.values, strict=True):
        known.values[writer.table[var]] = value
    writer.take_donated()
    writer.take_buffers()
    outs = writer.body()
    result = tree.source(treedef, outs, known.values)
    if writer.leave:
        writer.write(f"result = {result}")
        result = "result"
    for line in writer.leave:
        writer.write(line)
    writer.write(f"return {result}")
    return writer.function(writer.path, writer.lines, writer.mode.is_quiet)
