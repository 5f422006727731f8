"""How tensors print: to the letter as in PyTorch.

One format serves all elements: fixed point, or scientific where the largest magnitude
is more than 1000 times the smallest, above 1e8, or the smallest is below 1e-4; whole
numbers get a bare point. Beyond `threshold` elements only the `edgeitems` at the ends
of each axis are shown. Zeros, infinities and NaNs have no say in format and width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgrad.torch.devices import CPU
from fgrad.torch.dtypes import get_default_dtype
from fgrad.torch.modes import STATE
from fgrad.torch.registry import method
from fgrad.torch.runs import end_learning
from fgrad.torch.tensor import Array, Tensor

LARGE_RATIO = 1000.0
LARGE = 1e8
SMALL = 1e-4


@dataclass
class Options:
    """What `set_printoptions` sets.

    Attributes:
        precision: digits after the point.
        threshold: the number of elements beyond which the middle is left out.
        edgeitems: the elements that are then shown at each end of an axis.
        linewidth: characters on a line.
        sci_mode: whether to use scientific notation; None decides by the values.
    """

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


OPTIONS = Options()
_PROFILES = {
    "default": Options(),
    "short": Options(precision=2, edgeitems=2),
    "full": Options(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print; what is not given stays, ``sci_mode`` excepted.

    Args:
        precision: digits after the point: 4.
        threshold: the number of elements beyond which the middle is left out: 1000.
        edgeitems: the elements that are then shown at each end of an axis: 3.
        linewidth: characters on a line: 80.
        profile: ``"default"``, ``"short"`` or ``"full"`` sets several at once.
        sci_mode: whether to use scientific notation; None decides by the values.

    >>> torch.set_printoptions(precision=2)
    >>> torch.tensor([3.14159])
    tensor([3.14])
    >>> torch.set_printoptions(profile="default")
    """
    if profile is not None:
        preset = _PROFILES[profile]
        OPTIONS.precision = preset.precision
        OPTIONS.threshold = preset.threshold
        OPTIONS.edgeitems = preset.edgeitems
        OPTIONS.linewidth = preset.linewidth
    OPTIONS.precision = OPTIONS.precision if precision is None else precision
    OPTIONS.threshold = OPTIONS.threshold if threshold is None else threshold
    OPTIONS.edgeitems = OPTIONS.edgeitems if edgeitems is None else edgeitems
    OPTIONS.linewidth = OPTIONS.linewidth if linewidth is None else linewidth
    OPTIONS.sci_mode = sci_mode


class Formatter:
    """The common format of elements: chosen for those that are shown."""

    def __init__(self, shown: Array) -> None:
        self.is_float = shown.dtype.kind == "f"
        self.is_whole = True
        self.is_scientific = False
        self.width = 1
        self.parts: tuple[Formatter, Formatter] | None = None
        if shown.dtype.kind == "c":
            self.parts = Formatter(shown.real), Formatter(shown.imag)
            self.width = sum(part.width for part in self.parts) + 1
            return
        if not self.is_float:
            texts = map(str, shown.ravel().tolist())
            self.width = max(map(len, texts), default=1)
            return
        values = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
        if not values.size:
            return
        self.is_whole = bool(np.all(values == np.ceil(values)))
        self.is_scientific = _is_scientific(np.abs(values))
        self.width = max(len(self._text(value)) for value in values.tolist())

    def _text(self, value: float) -> str:
        if self.is_scientific:
            return f"{value:.{OPTIONS.precision}e}"
        if not self.is_whole:
            return f"{value:.{OPTIONS.precision}f}"
        return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"

    def __call__(self, value: Any) -> str:
        """An element, padded on the left."""
        if self.parts is not None:
            real, imaginary = self.parts
            second = imaginary(value.imag).lstrip()
            sign = "" if second[0] == "-" else "+"
            return f"{real(value.real)}{sign}{second}j"
        return (self._text(value) if self.is_float else str(value)).rjust(self.width)


def _is_scientific(magnitudes: Array) -> bool:
    if OPTIONS.sci_mode is not None:
        return OPTIONS.sci_mode
    low, high = float(magnitudes.min()), float(magnitudes.max())
    return bool(high / low > LARGE_RATIO or high > LARGE or low < SMALL)


def _edges(array: Array) -> Array:
    """The elements that a summary shows."""
    count = OPTIONS.edgeitems
    for axis, length in enumerate(array.shape):
        if length > 2 * count:
            kept = [*range(count), *range(length - count, length)]
            array = np.take(array, kept, axis)
    return array


def _body(array: Array, indent: int, is_summary: bool, form: Formatter) -> str:
    """The nested brackets of an array."""
    if not array.ndim:
        return form(array.item())
    count = OPTIONS.edgeitems
    cut = is_summary and len(array) > 2 * count
    shown = [*array[:count], *array[len(array) - count :]] if cut else list(array)
    if array.ndim == 1:
        return _vector(shown, indent, cut, form)
    rows = [_body(row, indent + 1, is_summary, form) for row in shown]
    if cut:
        rows.insert(count, "...")
    return "[" + _joined(rows, array.ndim, indent) + "]"


def _joined(rows: list[str], ndim: int, indent: int) -> str:
    return ("," + "\n" * (ndim - 1) + " " * (indent + 1)).join(rows)


def _vector(shown: list[Any], indent: int, cut: bool, form: Formatter) -> str:
    texts = [form(value.item()) for value in shown]
    if cut and OPTIONS.edgeitems:
        texts.insert(OPTIONS.edgeitems, " ...")
    elif cut:
        texts = ["..."]
    per_line = max(1, (OPTIONS.linewidth - indent) // (form.width + 2))
    starts = range(0, len(texts), per_line)
    lines = [", ".join(texts[start : start + per_line]) for start in starts]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _suffixes(tensor: Tensor) -> list[str]:
    end_learning()
    array, default = tensor._array, get_default_dtype()
    usual = [default.name]
    if array.size:
        usual += [default.to_complex().name, "int64", "bool"]
    suffixes = []
    if tensor._device is not CPU:
        suffixes.append(f"device='{tensor._device}'")
    if (not array.size and array.ndim != 1) or (array.size and not OPTIONS.edgeitems):
        suffixes.append(f"size={array.shape!r}")
    if array.dtype.name not in usual:
        suffixes.append(f"dtype={tensor.dtype}")
    level = STATE.level
    tangent = None if level is None else level.tangent_of(tensor)
    if tangent is not None and not level.has_others(tensor):
        pass  # a dual tensor is recorded for its tangent only
    elif tensor._node is not None:
        suffixes.append(f"grad_fn=<{type(tensor._node).__name__}>")
    elif tensor._requires:
        suffixes.append("requires_grad=True")
    if tangent is not None:
        suffixes.append(f"tangent={tangent}")
    return suffixes


@method("__repr__", "__str__")
def format_tensor(self: Tensor) -> str:
    """The text of a tensor."""
    kind = type(self).__name__
    return format_as("tensor(" if type(self) is Tensor else f"{kind}(", self)


def format_as(prefix: str, self: Tensor) -> str:
    """The text of a tensor that begins with a prefix."""
    indent, array = len(prefix), self._array
    is_summary = array.size > OPTIONS.threshold
    if array.size:
        form = Formatter(_edges(array) if is_summary else array)
        text = prefix + _body(array, indent, is_summary, form)
    else:
        text = prefix + "[]"
    last = len(text) - text.rfind("\n") + 1
    for suffix in _suffixes(self):
        if last + len(suffix) + 2 > OPTIONS.linewidth:
            text += ",\n" + " " * indent + suffix
            last = indent + len(suffix)
        else:
            text += f", {suffix}"
            last += len(suffix) + 2
    return text + ")"
