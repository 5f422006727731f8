"""`Tensor.graph`: the recorded operations behind a tensor, as text, DOT and SVG."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple, final

from fgrad.ir import Aval
from fgrad.record import nodes_to
from fgrad.sites import Site
from fgrad.torch.backward import gather
from fgrad.torch.cuts import explain_cut
from fgrad.torch.graph import Edge, Node, edge_of
from fgrad.torch.registry import method
from fgrad.torch.tensor import Tensor

CHARACTER, LINE, GAP = 7.2, 16, 24  # of the picture, in pixels
MARGIN = 10

Key = tuple[int, int]  # the identity of a node or leaf, and the number of a result


class Box(NamedTuple):
    """A leaf or an operation.

    Attributes:
        name: that of the leaf or of the results, such as ``%1``.
        operation: the operation's; empty for a leaf.
        types: what it gives, such as ``float32[2, 3]``.
        operands: for each operand that requires a gradient the number of its box.
        operand_names: how each of them is called.
        site: the user's line.
    """

    name: str
    operation: str
    types: str
    operands: tuple[int, ...]
    operand_names: tuple[str, ...]
    site: Site | None


@final
class Drawing:
    """The graph of a tensor: ``str`` of it is a listing, a notebook shows the picture.

    Attributes:
        boxes: leaves first, then operations, oldest first.
        note: a sentence in place of the boxes where there are none.
    """

    def __init__(self, boxes: list[Box], note: str) -> None:
        self.boxes = boxes
        self.note = note

    def __str__(self) -> str:
        if self.note:
            return self.note
        lines = []
        for box in self.boxes:
            given = f" = {box.operation}({', '.join(box.operand_names)})"
            text = box.name + (given if box.operation else "")
            lines.append((f"{text}: {box.types}", box.site))
        width = min(max(len(text) for text, _ in lines), 60)
        return "\n".join(
            text if site is None else f"{text:{width}}  # {site}: {site.text}"
            for text, site in lines
        )

    __repr__ = __str__

    def dot(self) -> str:
        """The graph in the language of Graphviz."""
        lines = ["digraph tensor {", "  rankdir=TB;"]
        for number, box in enumerate(self.boxes):
            label = "\\n".join(_escaped(text) for text in _texts(box))
            shape = "box" if box.operation else "ellipse"
            lines.append(f'  n{number} [label="{label}", shape={shape}];')
            lines += [f"  n{operand} -> n{number};" for operand in box.operands]
        return "\n".join([*lines, "}"])

    def svg(self) -> str:
        """The graph as a picture: each operation stands below its operands."""
        places, width, height = self._layout()
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
            f'height="{height:.0f}" font-family="monospace" font-size="12">'
        ]
        for number, box in enumerate(self.boxes):
            x, y, _ = places[number]
            for k in box.operands:
                start, top, _ = places[k]
                top += _height(self.boxes[k])
                lines.append(
                    f'<line x1="{start:.0f}" y1="{top:.0f}" x2="{x:.0f}" y2="{y:.0f}" '
                    'stroke="#888"/>'
                )
        for number, box in enumerate(self.boxes):
            lines += _drawn(box, *places[number])
        return "\n".join([*lines, "</svg>"])

    def _repr_svg_(self) -> str:
        return self.svg()

    def _layout(self) -> tuple[list[tuple[float, float, float]], float, float]:
        """The middle, the top and the width of each box; the size of the picture."""
        depths: list[int] = []
        rows: list[list[int]] = []
        for number, box in enumerate(self.boxes):
            depth = 1 + max((depths[k] for k in box.operands), default=-1)
            depths.append(depth)
            rows += [[] for _ in range(depth + 1 - len(rows))]
            rows[depth].append(number)
        widths = [
            CHARACTER * max(map(len, _texts(box))) + 2 * MARGIN for box in self.boxes
        ]
        places = [(0.0, 0.0, width) for width in widths]
        y = total = float(MARGIN)

        def above(number: int) -> float:
            operands = self.boxes[number].operands
            return sum(places[k][0] for k in operands) / max(len(operands), 1)

        for row in rows:
            row.sort(key=above)
            x = float(MARGIN)
            for k in row:
                places[k] = x + widths[k] / 2, y, widths[k]
                x += widths[k] + GAP
            total = max(total, x)
            y += max(_height(self.boxes[k]) for k in row) + 2 * GAP
        return places, total, y


def _texts(box: Box) -> list[str]:
    """The lines of text in a box."""
    title = f"{box.name} = {box.operation}" if box.operation else box.name
    return [title, box.types, *([str(box.site)] if box.site else [])]


def _height(box: Box) -> float:
    return LINE * len(_texts(box)) + MARGIN


def _drawn(box: Box, x: float, y: float, width: float) -> list[str]:
    """A box in SVG; the user's line shows as a tooltip."""
    escape = importlib.import_module("html").escape  # costs 2 ms: on first use
    color = "#fff" if box.operation else "#e8f0fe"
    title = f"<title>{escape(box.site.text)}</title>" if box.site else ""
    lines = [
        f'<g>{title}<rect x="{x - width / 2:.0f}" y="{y:.0f}" width="{width:.0f}" '
        f'height="{_height(box):.0f}" rx="4" fill="{color}" stroke="#444"/>'
    ]
    for number, text in enumerate(_texts(box)):
        lines.append(
            f'<text x="{x:.0f}" y="{y + LINE * (number + 1):.0f}" '
            f'text-anchor="middle">{escape(text)}</text>'
        )
    return [*lines, "</g>"]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _type(aval: Aval) -> str:
    return f"{aval.dtype}{list(aval.shape)}"


@method("graph")
def graph(self: Tensor, names: Any = None) -> Drawing:
    """The recorded operations that the tensor comes from, to be printed or drawn.

    Each line has an operation, its operands that require gradients, what it gives, and
    the user's line (the first of operations of equal structure, or its own one under
    `fgrad.torch.strict`). ``.dot()`` is text for Graphviz, ``.svg()`` a picture, which
    a notebook shows.

    Args:
        self: any tensor.
        names: a module, or a dictionary of tensors and modules, such as ``locals()``.

    >>> w = torch.ones(3, requires_grad=True)
    >>> print(str((w * 2).sum().graph({"w": w})).split("  #")[0])
    w: float32[3]
    %1 = MulBackward0(w): float32[3]
    """
    if not self._requires:
        return Drawing([], f"The tensor has no graph. {explain_cut(self)}")
    order = gather([edge_of(self)])
    known = _names(names)
    leaves: dict[int, Tensor] = {}
    for node in order:
        for parent, _ in node.edges:
            if isinstance(parent, Tensor):
                leaves.setdefault(id(parent), parent)
    if self._node is None:
        leaves[id(self)] = self
    called: dict[int, str] = {}
    places: dict[int, int] = {}
    boxes: list[Box] = []
    for number, (key, leaf) in enumerate(leaves.items()):
        called[key] = known.get((key, 0), f"leaf{number}")
        places[key] = len(boxes)
        boxes.append(Box(called[key], "", _type(leaf._aval), (), (), None))
    for number, node in enumerate(order, 1):
        called[id(node)] = f"%{number}"
        places[id(node)] = len(boxes)
        boxes.append(_operation(node, called, places, known))
    return Drawing(boxes, "")


def _names(given: Any) -> dict[Key, str]:
    """The names of tensors, and of the parameters of modules, by their edges."""
    pairs: list[tuple[str, Any]] = [("", given)]
    if isinstance(given, Mapping):
        pairs = [(str(name), value) for name, value in given.items()]
    found: dict[Key, str] = {}
    for name, value in pairs:
        named = getattr(value, "named_parameters", None)
        inner = [(name, value)]
        if callable(named) and not isinstance(value, type):
            start = f"{name}." if name else ""
            inner = [(f"{start}{rest}", x) for rest, x in named()]
        for full, x in inner:
            if isinstance(x, Tensor) and x._requires:
                parent, number = edge_of(x)
                found.setdefault((id(parent), number), full)
    return found


def _operation(
    node: Node,
    called: Mapping[int, str],
    places: Mapping[int, int],
    known: Mapping[Key, str],
) -> Box:
    results = [k for k in node.outs if k is not None]
    own = [known[id(node), k] for k in results if (id(node), k) in known]
    operands = [node.edges[k] for k in node.layout if k is not None]
    if len(operands) < len(node.edges):
        operands = list(node.edges)
    return Box(
        ", ".join(own) or called[id(node)],
        type(node).__name__,
        ", ".join(_type(_aval_of(node, k)) for k in results),
        tuple(places[id(parent)] for parent, _ in operands),
        tuple(_operand(edge, called, known) for edge in operands),
        node.site,
    )


def _operand(edge: Edge, called: Mapping[int, str], known: Mapping[Key, str]) -> str:
    """The name of an operand; with the number of the result where there are several."""
    parent, number = edge
    if (id(parent), number) in known:
        return known[id(parent), number]
    name = called[id(parent)]
    if isinstance(parent, Tensor) or len(parent.outs) == 1:
        return name
    return f"{name}[{parent.outs.index(number)}]" if number in parent.outs else name


def _aval_of(node: Node, number: int) -> Aval:
    """The type of a variable of an operation's fragment."""
    steps = nodes_to(node.path)
    step = next(step for step in steps if step.index <= number < step.count)
    return step.avals[number - step.index]
