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
from fgrad.lower.plan import Plan, make_plan
from fgrad.lower.quiet import quiet_lines
from fgrad.lower.source import FunctionWriter

Lines = list[str]


@dataclass(frozen=True)
class Layout:
    """How a program is run: the order of its equations, and where results go."""

    program: Program
    plan: Plan
    runs: Sequence[Run]
    buffers: Buffers


def lay_out(program: Program, donated: Sequence[int] = ()) -> Layout:
    """Find the runs, and plan the memory, of a program.

    Inputs at the positions ``donated`` may be overwritten and returned, unless a guard
    may need them for another path.
    """
    ordered, runs = find_runs(program)
    has_guards = any(eqn.prim.name == "guard" for eqn in program.eqns)
    plan = make_plan(ordered, () if has_guards else donated)
    plan = replace(plan, reuses={})  # the buffers that are kept serve for that
    return Layout(ordered, plan, runs, assign_buffers(ordered, plan, runs))


class PathWriter(FunctionWriter):
    """Writes the function of a path, with its guards."""

    def __init__(self, layout: Layout, names: Mapping[Var, str]) -> None:
        super().__init__(
            layout.program, layout.plan, layout.runs, layout.buffers, names
        )
        self.arguments = [self.table[var] for var in layout.program.ins]
        self.stays = {*layout.program.ins, *layout.program.consts}

    def lines_of(self, number: int, eqn: Eqn) -> Lines:
        if eqn.prim.name != "guard":
            return super().lines_of(number, eqn)
        params = dict(eqn.params)
        (value,) = (self.table[atom] for atom in eqn.ins)
        test, observed = self._test(value, params["kind"], params["expected"])
        other = f"other_{params['number']}"
        call = ", ".join([observed, *self.arguments])
        return [f"if {test}:", f"    return {other}({call})"]

    def _test(self, value: str, kind: str, expected: Any) -> tuple[str, str]:
        """Whether a guard fails, and what was observed instead."""
        if kind == "bool":
            return (f"not {value}", "False") if expected else (value, "True")
        if kind == "int":
            return f"int({value}) != {expected}", f"int({value})"
        self.scope["array_key"] = array_key
        key = self.statements.static("expected", expected)
        return f"array_key({value}) != {key}", f"array_key({value})"

    def delete(self, variables: Sequence[Var]) -> None:
        super().delete([var for var in variables if var not in self.stays])


def array_key(value: Any) -> Any:
    """What tells an array from others: shape, dtype, bytes."""
    array = np.asarray(value)
    return array.shape, array.dtype.str, array.tobytes()


def path_lines(
    layout: Layout,
    name: str,
    names: Mapping[Var, str],
    treedef: tree.TreeDef,
) -> tuple[Lines, dict[str, Any]]:
    """The lines of a path's function, and the globals that it needs.

    Its arguments are the program's inputs, and the arrays that it keeps.
    """
    writer = PathWriter(layout, names)
    program = layout.program
    for var, value in zip(program.consts, program.values, strict=True):
        writer.scope[writer.table[var]] = value
    outs = writer.body()
    writer.write(f"return {result_text(treedef, outs, writer.scope)}")
    kept = [f"kept{k}" for k in range(len(layout.buffers.avals))]
    head = f"def {name}({', '.join([*writer.arguments, *kept])}):"
    return [head, *writer.lines], writer.scope


def result_text(treedef: tree.TreeDef, outs: Sequence[str], scope: Any) -> str:
    """The source of a tree with these leaves."""
    template = tree.unflatten(treedef, [_Leaf(text) for text in outs])
    text = _tree_text(template, scope)
    if text is not None:
        return text
    scope["unflatten"], scope["treedef"] = tree.unflatten, treedef
    return f"unflatten(treedef, [{', '.join(outs)}])"


class _Leaf:
    def __init__(self, text: str) -> None:
        self.text = text


def _tree_text(node: Any, scope: dict[str, Any]) -> str | None:
    """The source of a container; None for one that is none of Python's own."""
    kind = type(node)
    if kind is _Leaf:
        return str(node.text)
    if node is None:
        return "None"
    if kind is dict:
        if not all(type(key) in (str, int) for key in node):
            return None
        items = [_tree_text(item, scope) for item in node.values()]
        pairs = zip(node, items, strict=True)
        text = ", ".join(f"{key!r}: {item}" for key, item in pairs)
        return None if None in items else f"{{{text}}}"
    is_named = kind is not tuple and issubclass(kind, tuple) and hasattr(kind, "_make")
    if kind not in (tuple, list) and not is_named:
        return None
    items = [_tree_text(item, scope) for item in node]
    if None in items:
        return None
    text = ", ".join(map(str, items))
    if kind is list:
        return f"[{text}]"
    if kind is tuple:
        return f"({text},)" if len(items) == 1 else f"({text})"
    scope[kind.__name__] = kind
    return f"{kind.__name__}({text})"


def call_lines(
    layout: Layout, name: str, arguments: Sequence[str], is_quiet: bool, scope: Any
) -> Lines:
    """The lines of ``call``: the path's function with its buffers, without warnings."""
    given = ", ".join(arguments)
    if layout.buffers.avals:
        scope["spare"], scope["new_buffers"] = [], _buffer_maker(layout.buffers)
        comma = ", " if given else ""
        body = [
            "try:",
            "    kept = spare.pop()",
            "except IndexError:",
            "    kept = new_buffers()",
            f"result = {name}({given}{comma}*kept)",
            "spare.append(kept)",
            "return result",
        ]
    else:
        body = [f"return {name}({given})"]
    if is_quiet:
        body = quiet_lines(body, scope)
    return [f"def call({given}):", *(f"    {line}" for line in body)]


def _buffer_maker(buffers: Buffers) -> Any:
    types = [(aval.shape, aval.numpy_dtype) for aval in buffers.avals]
    return lambda: [np.empty(shape, dtype) for shape, dtype in types]
