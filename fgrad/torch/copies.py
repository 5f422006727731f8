"""Views that are copied at once: ``view_copy``, ``transpose_copy``, ``unsafe_split``.

The view is made of a detached tensor, so that arguments are checked as those of the
view; what leads to it is recorded, and its result copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fgrad.torch import axes, complex_numbers, parting, shapes, strides, triangles
from fgrad.torch.dtypes import dtype
from fgrad.torch.recording import one, several
from fgrad.torch.registry import FUNCTIONS, METHODS
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Tensor, require_tensor

NOT_DIFFERENTIABLE = "NotImplemented:derivative for aten::{} is not implemented"
COMPLEX = (
    "view_as_complex_copy does not support automatic differentiation for outputs with "
    "complex dtype."
)


def _copied(name: str, node: Any, view: Callable[..., Any]) -> Callable[..., Any]:
    """A function that copies what a view gives.

    Args:
        name: that of the function.
        node: the name of its node, or a function of the arguments that gives it.
        view: the function that gives a view, or several.
    """

    def copy(input: Tensor, *args: Any, **named: Any) -> Any:
        x = require_tensor(name, input)
        found = view(x.detach(), *args, **named)
        label = node if isinstance(node, str) else node(x, *args, **named)
        if isinstance(found, Tensor):
            return one(label, _path(found), x)
        if not found:
            return found
        function = found[0]._view.steps[-1][0]
        return several(label, lambda u: tuple([y.copy() for y in function(u)]), x)

    return copy


def _path(view: Tensor) -> Callable[[Any], Any]:
    """What leads from a tensor to a view of it, and a copy."""
    if view._base is None:
        shape = view._aval.shape
        return lambda u: u.reshape(shape).copy()
    steps = view._view
    return lambda u: steps.of(u).copy()


def _slice(
    x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    return x[(slice(None),) * axis_of(dim, x.dim()) + (slice(start, end, step),)]


def _view(x: Any, size: Any) -> Any:
    return x.view(size) if x.is_contiguous() else x.reshape(size)


def _squeeze_node(x: Tensor, dim: Any = None) -> str:
    kind = 0 if dim is None else 2 if isinstance(dim, tuple | list) else 1
    return f"SqueezeBackward{kind}_copy"


def _complex_node(x: Tensor) -> str:
    if x._requires:
        raise RuntimeError(COMPLEX)
    return "ViewAsComplexBackward0_copy"


def _expand(x: Any, size: Any, *, implicit: bool = False) -> Any:
    return shapes.expand(x, *size)


_VIEWS: dict[str, tuple[Any, Callable[..., Any]]] = {  # by name: a node, and a view
    "alias": ("AliasBackward0_copy", lambda x: x.view(x.shape)),
    "as_strided": ("AsStridedBackward0_copy", strides.as_strided),
    "detach": (NOT_DIFFERENTIABLE.format("detach_copy"), lambda x: x.view(x.shape)),
    "diagonal": ("DiagonalBackward0_copy", triangles.diagonal),
    "expand": ("ExpandBackward0_copy", _expand),
    "narrow": ("NarrowCopyBackward0", shapes.narrow),
    "permute": ("PermuteBackward0_copy", axes.permute),
    "select": ("SelectBackward0_copy", shapes.select),
    "slice": ("SliceBackward0_copy", _slice),
    "split": ("SplitBackward0_copy", parting.split),
    "split_with_sizes": ("SplitWithSizesBackward0_copy", parting.split),
    "squeeze": (_squeeze_node, shapes.squeeze),
    "t": ("TBackward0_copy", axes.t),
    "transpose": ("TransposeBackward0_copy", axes.transpose),
    "unbind": ("UnbindBackward0_copy", shapes.unbind),
    "unfold": ("UnfoldBackward0_copy", strides.unfold),
    "unsqueeze": ("UnsqueezeBackward0_copy", shapes.unsqueeze),
    "view": ("ViewBackward0_copy", _view),
    "view_as_complex": (_complex_node, complex_numbers.view_as_complex),
    "view_as_real": ("ViewAsRealBackward0_copy", complex_numbers.view_as_real),
}
_EXAMPLES = {  # arguments after a tensor of shape (2, 2), where there are any
    "as_strided": "(3,), (1,)", "expand": "(2, 2, 2)", "narrow": "0, 0, 1",
    "permute": "(1, 0)", "select": "0, 1", "split": "1", "split_with_sizes": "[1, 1]",
    "transpose": "0, 1", "unfold": "0, 2, 1", "unsqueeze": "0", "view": "(4,)",
    "unsafe_chunk": "2", "unsafe_split": "1", "unsafe_split_with_sizes": "[1, 1]",
}  # fmt: skip
_UNSAFE = {
    "unsafe_chunk": ("UnsafeSplitBackward0", parting.chunk),
    "unsafe_split": ("UnsafeSplitBackward0", parting.split),
    "unsafe_split_with_sizes": ("UnsafeSplitWithSizesBackward0", parting.split),
}
_DOC = """{}

    >>> x = torch.ones(2, 2{})
    >>> y = torch.{}({})
    >>> {}.is_contiguous()
    True
    """


def _with_dtype(copy: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of the view as another dtype, where one is given; it has no gradient."""

    def call(input: Any, *args: Any, **named: Any) -> Any:
        for kind in (*args, *named.values()):
            if isinstance(kind, dtype):
                return input.detach().view(kind).clone()
        return copy(input, *args, **named)

    return call


def _register(
    name: str, of: str, node: Any, view: Callable[..., Any], says: str
) -> Callable[..., Any]:
    function = _copied(name, node, view)
    function = _with_dtype(function) if of == "view" else function
    function.__name__ = function.__qualname__ = name
    kind = ", dtype=torch.complex64" if of == "view_as_real" else ""
    call = ", ".join(filter(None, ["x", _EXAMPLES.get(of, "")]))
    result = "y[0]" if "split" in of or of in ("unbind", "unsafe_chunk") else "y"
    function.__doc__ = _DOC.format(says, kind, name, call, result)
    FUNCTIONS[name] = function
    return function


for _name, (_node, _of) in _VIEWS.items():
    _full = f"{_name}_copy"
    _register(_full, _name, _node, _of, f"As `{_name}`, but a copy, in C order.")
for _name, (_node, _of) in _UNSAFE.items():
    _says = f"As `{_name.removeprefix('unsafe_')}`, of parts that are copies."
    METHODS[_name] = _register(_name, _name, _node, _of, _says)
METHODS["narrow_copy"] = FUNCTIONS["narrow_copy"]
