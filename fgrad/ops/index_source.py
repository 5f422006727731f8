"""Indexing as Python source: what generated programs show for it."""

from collections.abc import Sequence
from typing import Any

from fgrad.ir import Aval
from fgrad.ops.at import At, has_repeats


def _index_text(at: At, names: Sequence[str]) -> str:
    """The source text of an index, such as ``1:, i, ...``"""
    operands = iter(names)
    parts = []
    for entry in at:
        if type(entry) is tuple:
            start, stop, step = ("" if bound is None else bound for bound in entry)
            parts.append(f"{start}:{stop}" + (f":{step}" if step != "" else ""))
        elif type(entry) is str:
            parts.append(next(operands))
        else:
            parts.append("..." if entry is Ellipsis else repr(entry))
    return ", ".join(parts) or "()"


def _target(name: str, params: Any) -> str | None:
    """The source of the array that is indexed: ``name``, or a view of it.

    None where that view depends on the array's layout.
    """
    for step, given in params.get("path", ()):
        options = dict(given)
        if step == "diagonal":
            name = f"np.einsum({options['subscripts']!r}, {name})"
            continue
        base = _target(name, options)
        if step != "index" or base is None or "$" in options["at"]:
            return None
        name = f"{base}[{_index_text(options['at'], ())}]"
    return name


def index_lines(
    out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
) -> list[str] | None:
    if "path" in params:
        return None
    return [f"{out} = {ins[0]}[{_index_text(params['at'], ins[1:])}]"]


def _shape_and_dtype(params: Any) -> str:
    """The arguments for an array, as short as NumPy takes them most quickly."""
    shape = params["shape"]
    text = str(shape[0] if len(shape) == 1 else shape)
    return text if params["dtype"] == "float64" else f"{text}, {params['dtype']!r}"


def scatter_lines(
    out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
) -> list[str] | None:
    target = _target(out, params)
    if target is None:
        return None
    slot = _index_text(params["at"], ins[1:])
    zeros = f"{out} = np.zeros({_shape_and_dtype(params)})"
    if has_repeats(params["at"], avals[1:]):
        return [zeros, f"np.add.at({target}, np.s_[{slot}], {ins[0]})"]
    return [zeros, f"{target}[{slot}] = {ins[0]}"]


def write_lines(assignment: str) -> Any:
    def lines(
        out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
    ) -> list[str] | None:
        target = _target(out, params)
        if target is None:
            return None
        slot = _index_text(params["at"], ins[2:])
        start = [] if in_place else [f"{out} = np.array({ins[0]})"]
        if assignment == "+=" and has_repeats(params["at"], avals[2:]):
            return [*start, f"np.add.at({target}, np.s_[{slot}], {ins[1]})"]
        return [*start, f"{target}[{slot}] {assignment} {ins[1]}"]

    return lines
