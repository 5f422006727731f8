"""``Tensor.graph``: the listing, the names, DOT and the picture."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import fgrad.torch as torch

SVG = "{http://www.w3.org/2000/svg}"


def network() -> tuple[Any, Any]:
    layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    return layers, layers(torch.ones(4, 2))


def without_lines(drawing: Any) -> list[str]:
    return [line.split("  #")[0].rstrip() for line in str(drawing).split("\n")]


def test_the_listing_has_names_types_and_lines() -> None:
    with torch.strict():
        layers, out = network()
        first, second = out.split(2)
        loss = (first * second).sum()  # the loss
    assert without_lines(loss.graph(layers)) == [
        "0.bias: float32[3]",
        "0.weight: float32[3, 2]",
        "1.bias: float32[1]",
        "1.weight: float32[1, 3]",
        "%1 = AddmmBackward0(0.bias, 0.weight): float32[4, 3]",
        "%2 = AddmmBackward0(1.bias, %1, 1.weight): float32[4, 1]",
        "%3 = SplitBackward0(%2): float32[2, 1], float32[2, 1]",
        "%4 = MulBackward0(%3[0], %3[1]): float32[2, 1]",
        "%5 = SumBackward0(%4): float32[]",
    ]
    assert re.search(r"SumBackward0.*# test_torch_drawing.py:\d+: ", str(loss.graph()))


def test_variables_give_names() -> None:
    layers, out = network()
    first, second = out.split(2)
    loss = (first * second).sum()
    lines = without_lines(loss.graph(locals()))
    assert "layers.0.bias: float32[3]" in lines
    assert "first, second = SplitBackward0(out): float32[2, 1], float32[2, 1]" in lines
    assert lines[-1] == "loss = SumBackward0(%4): float32[]"


def test_views_and_writes() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    y = x * 2
    row = y[0]
    row.mul_(3)
    assert without_lines(row.graph({"x": x, "y": y})) == [
        "x: float32[2, 3]",
        "%1 = MulBackward0(x): float32[2, 3]",
        "%2 = SelectBackward0(%1): float32[3]",
        "%3 = MulBackward0(%2): float32[3]",
        "y = CopySlices(%1, %3): float32[2, 3]",
        "%5 = AsStridedBackward0(y): float32[3]",
    ]


def test_leaves_and_tensors_without_graphs() -> None:
    x = torch.ones(2, requires_grad=True)
    assert str(x.graph()) == "leaf0: float32[2]"
    assert str(x.graph({"x": x})) == "x: float32[2]"
    cut = str((x * 2).detach().graph())
    assert cut.startswith("The tensor has no graph. The path of gradients was cut by")
    assert "<svg" in torch.ones(2).graph().svg()


def test_dot() -> None:
    _, out = network()
    text = out.graph({'a "quoted" name': out}).dot()
    assert text.startswith("digraph tensor {")
    assert text.count("->") == 5
    assert '\\"quoted\\"' in text


def test_the_picture_has_every_box_apart_and_inside() -> None:
    layers, out = network()
    loss = sum((part * part).sum() for part in (*out.split(1), layers[0].weight))
    drawing = loss.graph(layers)
    root = ElementTree.fromstring(drawing._repr_svg_())
    size = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = []
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.attrib[k]) for k in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= size[0]
        assert 0 <= y <= y + h <= size[1]
        boxes.append((x, y, x + w, y + h))
    assert len(boxes) == len(drawing.boxes)
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for line in root.iter(f"{SVG}line"):
        assert float(line.attrib["y1"]) < float(line.attrib["y2"])
