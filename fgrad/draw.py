"""Programs as pictures: HTML for notebooks, DOT text, SVG where graphviz is there."""

import html as _html
import subprocess
from typing import Any


def html(program: Any) -> str:
    """The text form as a preformatted block; the user's line shows as a tooltip."""
    lines = str(program).split("\n")
    rows = [_html.escape(lines[0])]
    for eqn, line in zip(program.eqns, lines[1:-1], strict=True):
        title = f"{eqn.site}: {eqn.site.text}" if eqn.site else ""
        rows.append(f'<span title="{_html.escape(title)}">{_html.escape(line)}</span>')
    rows.append(_html.escape(lines[-1]))
    return '<pre style="line-height:1.3">' + "\n".join(rows) + "</pre>"


def _node(name: str, label: str, shape: str) -> str:
    escaped = label.replace("\\", "\\\\").replace('"', '\\"')
    return f'  {name} [label="{escaped}", shape={shape}];'


def dot(program: Any) -> str:
    """A directed graph: ellipses are inputs and constants, boxes are equations."""
    lines = ["digraph program {", "  rankdir=TB;"]
    source: dict[Any, str] = {}
    for kind, variables in (("const", program.consts), ("in", program.ins)):
        for number, var in enumerate(variables):
            source[var] = f"{kind}{number}"
            lines.append(_node(source[var], f"{kind} {number}: {var.aval}", "ellipse"))
    for number, eqn in enumerate(program.eqns):
        name = f"eqn{number}"
        types = " ".join(str(var.aval) for var in eqn.outs)
        params = "".join(f"\\n{key}={value!r}" for key, value in eqn.params)
        lines.append(_node(name, f"{eqn.prim.name}: {types}{params}", "box"))
        lines += [f"  {source[a]} -> {name};" for a in eqn.ins if a in source]
        source.update((var, name) for var in eqn.outs)
    for number, atom in enumerate(program.outs):
        lines.append(_node(f"out{number}", f"out {number}: {atom.aval}", "ellipse"))
        if atom in source:
            lines.append(f"  {source[atom]} -> out{number};")
    return "\n".join([*lines, "}"])


def svg(program: Any) -> str:
    """Run graphviz' ``dot`` on the program's graph."""
    command = ["dot", "-Tsvg"]
    done = subprocess.run(
        command, input=dot(program), capture_output=True, text=True, check=True
    )
    return done.stdout
