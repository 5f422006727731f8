"""The tensor: a NumPy array, and its place in the recorded program.

A tensor owns the one piece of state of the façade: its storage, which views, `detach()`
and `numpy()` share. Operators and methods are given to the class by `fgrad.torch`.
"""

from __future__ import annotations

import difflib
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.ir import Aval, aval_of
from fgrad.torch.dtypes import dtype, get_default_dtype, of_numpy
from fgrad.torch.size import CPU, Size, device, size_arguments

if TYPE_CHECKING:
    from fgrad.torch.graph import Node

Array = np.ndarray[Any, Any]

NOT_A_LEAF = (
    "you can only change requires_grad flags of leaf variables."
    " If you want to use a computed variable in a subgraph that doesn't require "
    "differentiation use var_no_grad = var.detach()."
)
ONLY_FLOATS = "only Tensors of floating point dtype can require gradients"
ONLY_INEXACT = "only Tensors of floating point and complex dtype can require gradients"
GRAD_OF_NON_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
    ".grad attribute won't be populated during autograd.backward(). If you indeed want "
    "the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
    "non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you "
    "access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for "
    "more information."
)
_ACCUMULATION = threading.Lock()


class _View(weakref.ref["Tensor"]):
    """A weak reference to a view; tells itself from others by identity."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class Storage:
    """What tensors that share memory share besides.

    Attributes:
        version: how often an in-place operation changed the memory.
        views: the living views of it (what `detach` gives is none).
        writer: the name of the last recorded operation that changed the memory.
    """

    __slots__ = ("version", "views", "writer")

    def __init__(self) -> None:
        self.version = 0
        self.views: set[_View] | None = None
        self.writer = ""

    def add_view(self, view: Tensor) -> None:
        """Note a view for as long as it lives."""
        if self.views is None:
            self.views = set()
        self.views.add(_View(view, self.views.discard))


class Tensor:
    """An array of numbers that may take part in the recorded program.

    ``Tensor(2, 3)`` and ``Tensor([1, 2])`` are PyTorch's legacy constructors; use
    `fgrad.torch.zeros` and `fgrad.torch.tensor`.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_array",
        "_aval",
        "_base",
        "_grad",
        "_node",
        "_number",
        "_requires",
        "_retains",
        "_storage",
    )
    __module__ = "torch"  # what print(type(x)) shows
    __array_priority__ = 1000
    _array: Array
    _aval: Aval
    _base: Tensor | None
    _grad: Tensor | None
    _node: Node | None
    _number: int
    _requires: bool
    _retains: bool
    _storage: Storage

    def __init__(self, *data: Any) -> None:
        default = get_default_dtype().numpy
        if len(data) == 1 and not isinstance(data[0], int | Size):
            array = np.array(data[0], default)
        else:
            array = np.zeros(size_arguments("Tensor", data or ((0,),)), default)
        _initialise(self, array, Storage(), None)

    @property
    def shape(self) -> Size:
        """The lengths of the axes."""
        return Size(self._aval.shape)

    @property
    def dtype(self) -> dtype:
        """The type of the elements."""
        return of_numpy(self._aval.dtype)

    @property
    def device(self) -> device:
        """Where the tensor lives."""
        return CPU

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._aval.ndim

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor is not the result of a recorded operation."""
        return self._node is None

    @property
    def grad_fn(self) -> Node | None:
        """The recorded operation that gave the tensor; None for a leaf."""
        return self._node

    @property
    def requires_grad(self) -> bool:
        """Whether operations on the tensor are recorded."""
        return self._requires

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._aval.dtype.kind != "f":
            raise RuntimeError(ONLY_INEXACT)
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether operations on the tensor are recorded.

        Raises:
            RuntimeError: the tensor is not a leaf, or not of a floating-point dtype.
        """
        if self._node is not None and not requires_grad:
            raise RuntimeError(NOT_A_LEAF)
        if requires_grad and self._aval.dtype.kind != "f":
            raise RuntimeError(ONLY_FLOATS)
        self._requires = bool(requires_grad)
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has added up so far."""
        if self._grad is None and self._node is not None and not self._retains:
            warnings.warn(GRAD_OF_NON_LEAF, UserWarning, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            self._check_grad(value)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def _check_grad(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(
                "assigned grad expected to be a Tensor or None but got grad of type "
                f"{type(value).__name__}"
            )
        if value._aval.shape != self._aval.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(value.shape)}' to a "
                f"tensor of size '{list(self.shape)}'. Please ensure that the gradient "
                "and the tensor are the same size"
            )
        if value._aval.dtype != self._aval.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{value.dtype.cpp}' to a "
                f"tensor with grad_dtype '{self.dtype.kind}'. The gradient must match "
                "the tensor's grad_dtype (defaults to the tensor's dtype). You can set "
                "the tensor's grad_dtype attribute with a specific dtype, or None to "
                "allow any dtype. Set grad_dtype with caution. Diverging the dtypes of "
                "a tensor and its gradient may break downstream systems that assume "
                "they match."
            )

    def retain_grad(self) -> None:
        """Have `backward` fill ``.grad`` of this tensor though it is not a leaf.

        Raises:
            RuntimeError: the tensor does not require a gradient.
        """
        if not self._requires:
            raise RuntimeError(
                "can't retain_grad on Tensor that has requires_grad=False"
            )
        if self._node is not None:
            self._retains = True
            self._node.retain(self)

    def detach(self) -> Tensor:
        """The same memory as a tensor that is not recorded."""
        return make(self._array, self._storage)

    @property
    def data(self) -> Tensor:
        """As `detach`, but changes through it are not noticed by `backward`."""
        return make(self._array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if self._node is None and value._aval.dtype != self._aval.dtype:
            raise RuntimeError(
                "Attempted to call `variable.set_data(tensor)`, but `variable` and "
                "`tensor` have incompatible tensor type."
            )
        set_array(self, value._array)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support "
                "the deepcopy protocol at the moment.  If you were attempting to "
                "deepcopy a module, this may be because of a "
                "torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
            )
        copied = make(self._array.copy())
        copied._requires = self._requires
        if self._grad is not None:
            copied._grad = make(self._grad._array.copy())
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "tensors are not pickled by fgrad.torch yet; save tensor.detach().numpy()"
        )

    def __hash__(self) -> int:
        return id(self)

    def __getattr__(self, name: str) -> Any:
        if name == "_aval":  # not asked for before
            self._aval = aval_of(self._array)
            return self._aval
        near = difflib.get_close_matches(name, dir(type(self)), n=3, cutoff=0.6)
        hint = f"; near: {', '.join(near)}" if near and name[:2] != "__" else ""
        raise AttributeError(
            f"'{type(self).__name__}' object has no attribute '{name}'{hint}",
            name=name,
            obj=self,
        )


_new = Tensor.__new__


def _initialise(
    tensor: Tensor, array: Array, storage: Storage, base: Tensor | None
) -> None:
    tensor._array = array
    tensor._storage = storage
    tensor._base = base
    tensor._requires = False
    tensor._node = None
    tensor._number = 0
    tensor._grad = None
    tensor._retains = False


def set_array(tensor: Tensor, array: Array) -> None:
    """Have a tensor hold another array, which may be of another type."""
    tensor._array = array
    tensor._aval = aval_of(array)


def make(
    array: Any, storage: Storage | None = None, base: Tensor | None = None
) -> Tensor:
    """A tensor that holds an array (not a copy); it does not require a gradient.

    Args:
        array: the values; a NumPy scalar becomes an array without axes.
        storage: that of the tensor whose memory it shares; a new one by default.
        base: the tensor of which it is a view.
    """
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    tensor = _new(Tensor)
    _initialise(tensor, array, Storage() if storage is None else storage, base)
    return tensor


def accumulate(tensor: Tensor, gradient: Tensor) -> None:
    """Add a gradient to ``tensor.grad``: in place, into the same object.

    A gradient that is itself recorded (``create_graph``) is added out of place.
    """
    with _ACCUMULATION:
        known = tensor._grad
        if known is None:
            tensor._grad = gradient
        elif known._requires or gradient._requires:
            tensor._grad = known + gradient  # type: ignore[operator]
        else:
            np.add(known._array, gradient._array, out=known._array)
            known._storage.version += 1


def require_tensor(function: str, value: Any, position: int = 1) -> Tensor:
    """``value``, which must be a tensor.

    Raises:
        TypeError: in PyTorch's words.
    """
    if isinstance(value, Tensor):
        return value
    found = type(value).__name__
    module = type(value).__module__
    full = found if module == "builtins" else f"{module}.{found}"
    name = "input" if position == 1 else "other"
    raise TypeError(
        f"{function}(): argument '{name}' (position {position}) must be Tensor, not "
        f"{full}"
    )


def adopt(tensor: Tensor, source: Tensor) -> None:
    """Make a tensor of a subclass share the memory of another one, as a new leaf."""
    _initialise(tensor, source._array, source._storage, None)
