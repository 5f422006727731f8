"""Indexing as Python source: what generated programs show for it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.at import At, Steps, follow, has_repeats

LARGE = 1 << 12  # elements from which zeros are not written where others follow


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


def _follow_text(name: str, path: Steps) -> str:
    """The source text of the view of an array at the end of a path."""
    for step, items in path:
        params = dict(items)
        if step == "index":
            name = _follow_text(name, params.get("path", ()))
            name = f"{name}[{_index_text(params['at'], ())}]"
        elif step == "diagonal":
            name = f"np.einsum({params['subscripts']!r}, {name})"
        elif step in ("real", "imag"):
            name = f"{name}.{step}"
        elif step == "broadcast_to":
            name = f"np.broadcast_to({name}, {params['shape']})"
        else:  # transpose and reshape
            (param,) = params.values()
            name = f"{name}.{step}({param})"
    return name


_STEPS = {"index", "real", "imag", "broadcast_to", "transpose", "reshape", "diagonal"}


def _is_static(path: Steps) -> bool:
    """Whether no step has operands of its own."""
    for step, items in path:
        params = dict(items)
        if step not in _STEPS or "$" in params.get("at", ()):
            return False
        if not _is_static(params.get("path", ())):
            return False
    return True


def _is_view(aval: Aval, path: Steps) -> bool:
    """Whether a path leads to a view of an array in C order."""
    array = np.empty(aval.shape, aval.numpy_dtype)
    end = follow(array, path)
    return not end.size or np.may_share_memory(end, array)


def index_lines(
    out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
) -> list[str] | None:
    path = params.get("path", ())
    if not _is_static(path):
        return None
    source = _follow_text(ins[0], path)
    return [f"{out} = {source}[{_index_text(params['at'], ins[1:])}]"]


def _shape_and_dtype(params: Any) -> str:
    """The arguments for an array, as short as NumPy takes them most quickly."""
    shape = params["shape"]
    text = str(shape[0] if len(shape) == 1 else shape)
    return text if params["dtype"] == "float64" else f"{text}, {params['dtype']!r}"


def _write(
    out: str,
    aval: Aval,
    value: str,
    arrays: Sequence[str],
    params: Any,
    assignment: str,
    avals: Sequence[Aval],
) -> str | None:
    """The line that writes to a slot of an array, or adds to it."""
    path = params.get("path", ())
    if not (_is_static(path) and _is_view(aval, path)):
        return None
    target, slot = _follow_text(out, path), _index_text(params["at"], arrays)
    if assignment == "+=" and has_repeats(params["at"], avals):
        return f"np.add.at({target}, np.s_[{slot}], {value})"
    return f"{target}[{slot}] {assignment} {value}"


def scatter_lines(
    out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
) -> list[str] | None:
    aval = Aval(params["shape"], params["dtype"])
    assignment = "+=" if has_repeats(params["at"], avals[1:]) else "="
    write = _write(out, aval, ins[0], ins[1:], params, assignment, avals[1:])
    if write is None:
        return None
    rest = _around(params)
    if rest is None:
        return [f"{out} = np.zeros({_shape_and_dtype(params)})", write]
    zeros = [f"{out}[{part}] = 0" for part in rest]
    return [f"{out} = np.empty({_shape_and_dtype(params)})", *zeros, write]


def _around(params: Any) -> list[str] | None:
    """What a slice along the first axis of a large array leaves, if that is little."""
    at, shape = params["at"], params["shape"]
    if params.get("path") or len(at) != 1 or type(at[0]) is not tuple:
        return None
    start, stop, step = slice(*at[0]).indices(shape[0])
    if step != 1 or math.prod(shape) < LARGE or 2 * (stop - start) < shape[0]:
        return None
    parts = [f":{start}"] if start else []
    return parts + ([f"{stop}:"] if stop < shape[0] else [])


def write_lines(assignment: str) -> Any:
    def lines(
        out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
    ) -> list[str] | None:
        write = _write(out, avals[0], ins[1], ins[2:], params, assignment, avals[2:])
        order = ", order='C'" if "path" in params else ""
        if write is None:
            return None
        if not in_place:
            return [f"{out} = np.array({ins[0]}{order})", write]
        return [f"{out} = np.asarray({out}{order})", write] if order else [write]

    return lines
