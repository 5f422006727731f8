"""Programs as pictures: HTML for notebooks, DOT text, SVG where graphviz is there."""

import importlib
from typing import Any

from fgrad.form import format_lines, plain_params, programs_in


def html(program: Any) -> str:
    """The text form as a preformatted block; the user's line shows as a tooltip."""
    escape = importlib.import_module("html").escape  # costs 2 ms: on first use
    rows = []
    for line, eqn in format_lines(program):
        text = escape(line)
        if eqn is not None:
            title = f"{eqn.site}: {eqn.site.text}" if eqn.site else ""
            text = f'<span title="{escape(title)}">{text}</span>'
        rows.append(text)
    return '<pre style="line-height:1.3">' + "\n".join(rows) + "</pre>"


def _node(name: str, label: str, shape: str) -> str:
    return f'  {name} [label="{_escaped(label)}", shape={shape}];'


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"')


def dot(program: Any) -> str:
    """A directed graph: ellipses are inputs and constants, boxes are equations.

    The programs among an equation's params are clusters beside it.
    """
    return "\n".join(["digraph program {", "  rankdir=TB;", *_graph(program, ""), "}"])


def _graph(program: Any, prefix: str) -> list[str]:
    """The nodes and edges of a program; ``prefix`` keeps their names apart."""
    lines: list[str] = []
    source: dict[Any, str] = {}
    for kind, variables in (("const", program.consts), ("in", program.ins)):
        for number, var in enumerate(variables):
            source[var] = f"{prefix}{kind}{number}"
            lines.append(_node(source[var], f"{kind} {number}: {var.aval}", "ellipse"))
    for number, eqn in enumerate(program.eqns):
        name = f"{prefix}eqn{number}"
        lines += _equation(eqn, name)
        lines += [f"  {source[a]} -> {name};" for a in eqn.ins if a in source]
        source.update((var, name) for var in eqn.outs)
    for number, atom in enumerate(program.outs):
        name = f"{prefix}out{number}"
        lines.append(_node(name, f"out {number}: {atom.aval}", "ellipse"))
        if atom in source:
            lines.append(f"  {source[atom]} -> {name};")
    return lines


def _equation(eqn: Any, name: str) -> list[str]:
    """The box of an equation, in a cluster with those of its programs."""
    types = " ".join(str(var.aval) for var in eqn.outs)
    plain = plain_params(eqn.params)
    params = "".join(f"\n{key}={value!r}" for key, value in plain)
    box = _node(name, f"{eqn.prim.name}: {types}{params}", "box")
    if len(plain) == len(eqn.params):
        return [box]
    lines = [f"  subgraph cluster_{name} {{", f'  label="{eqn.prim.name}";', box]
    for key, value in eqn.params:
        for number, program in enumerate(programs_in(value)):
            inner = f"{name}_{key}{number}_"
            label = f"{key} {number}" if type(value) is tuple else key
            lines += [f"  subgraph cluster_{inner} {{", f'  label="{label}";']
            lines += [*_graph(program, inner), "  }"]
    return [*lines, "  }"]


def svg(program: Any) -> str:
    """Run graphviz' ``dot`` on the program's graph."""
    command = ["dot", "-Tsvg"]
    subprocess = importlib.import_module("subprocess")  # costs 6 ms: on first use
    done = subprocess.run(
        command, input=dot(program), capture_output=True, text=True, check=True
    )
    return str(done.stdout)
