"""The tensor: a NumPy array, and its place in the recorded program.

A tensor owns the one piece of state of the façade: its storage, which views, `detach()`
and `numpy()` share. Operators and methods are given to the class by `fgrad.torch`.
"""

from __future__ import annotations

import difflib
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.ir import Aval, aval_of
from fgrad.torch.cuts import Cut, cut_off
from fgrad.torch.devices import CPU, device
from fgrad.torch.dtypes import dtype, get_default_dtype, of_numpy
from fgrad.torch.leaf_errors import (
    COPY_OF_NON_LEAF,
    GRAD_OF_NON_LEAF,
    INFERENCE_LEAF,
    NOT_A_LEAF,
    ONLY_FLOATS,
    ONLY_INEXACT,
    OTHER_DATA,
    misfit_of_gradient,
)
from fgrad.torch.modes import INFERENCE, STATE
from fgrad.torch.size import Size, size_arguments
from fgrad.torch.storage import Storage, writing
from fgrad.tracer import Tracer

if TYPE_CHECKING:
    from fgrad.torch.graph import Node
    from fgrad.torch.hooks import Hooks
    from fgrad.torch.views import View

Array = np.ndarray[Any, Any]

_FIRST_USE = threading.Lock()


class _InferenceStorage(Storage):
    """That of tensors made in inference mode."""

    __slots__ = ()
    is_inference = True


def new_storage() -> Storage:
    """The storage of a tensor that shares no memory."""
    if INFERENCE.threads and STATE.inference:
        return _InferenceStorage()
    return Storage()


class Tensor:
    """An array of numbers that may take part in the recorded program.

    ``Tensor(2, 3)`` and ``Tensor([1, 2])`` are the legacy forms of `zeros`, `tensor`.

    >>> torch.Tensor([1, 2]), torch.Tensor(2, 3).shape
    (tensor([1., 2.]), torch.Size([2, 3]))
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_array",
        "_aval",
        "_base",
        "_cut",
        "_grad",
        "_node",
        "_number",
        "_pending",
        "_place",
        "_requires",
        "_retains",
        "_storage",
        "_view",
    )
    __module__ = "torch"  # what print(type(x)) shows
    __array_priority__ = 1000
    _array: Array
    _aval: Aval
    _base: Tensor | None
    _device: device = CPU  # set where it is another one
    _remote: Any  # the value there, if there is one; see `remote`
    _hooks: Hooks | None = None  # set where there are any
    _refusal: str = ""  # why in-place operations are refused, where they are
    _cut: Cut | None
    _grad: Tensor | None
    _node: Node | None
    _number: int
    _pending: bool
    _place: Any  # the run that knows it, its number there, the step that made it
    _requires: bool
    _retains: bool
    _storage: Storage
    _view: View  # of tensors that have a base

    def __init__(self, *data: Any) -> None:
        default = get_default_dtype().numpy
        if len(data) == 1 and not isinstance(data[0], int | Size):
            array = np.array(data[0], default)
        else:
            array = np.zeros(size_arguments("Tensor", data or ((0,),)), default)
        _initialise(self, array, new_storage(), None)

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
        return self._device

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._aval.ndim

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor is not the result of a recorded operation."""
        return not (self._pending and self._requires) and self._node is None

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
        if value and self._aval.dtype.kind not in "fc":
            raise RuntimeError(ONLY_INEXACT)
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether operations on the tensor are recorded.

        Raises:
            RuntimeError: the tensor is not a leaf, or not of a floating-point dtype.

        >>> torch.ones(2).requires_grad_()
        tensor([1., 1.], requires_grad=True)
        """
        if self._node is not None and not requires_grad:
            raise RuntimeError(NOT_A_LEAF)
        if requires_grad and self._aval.dtype.kind not in "fc":
            raise RuntimeError(ONLY_FLOATS)
        if requires_grad and self._storage.is_inference and not STATE.inference:
            raise RuntimeError(INFERENCE_LEAF)
        if self._requires != requires_grad:
            writing(self)  # what was recorded with the tensor as it was
        self._requires = bool(requires_grad)
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has added up so far."""
        if self._grad is None and not self.is_leaf and not self._retains:
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
        refusal = misfit_of_gradient(self, value)
        if refusal:
            raise RuntimeError(refusal)

    def retain_grad(self) -> None:
        """Have `backward` fill ``.grad`` of this tensor though it is not a leaf.

        Raises:
            RuntimeError: the tensor does not require a gradient.

        >>> y = torch.ones(1, requires_grad=True) * 2
        >>> y.retain_grad()
        >>> (y * 3).backward()
        >>> y.grad
        tensor([3.])
        """
        if not self._requires:
            raise RuntimeError(
                "can't retain_grad on Tensor that has requires_grad=False"
            )
        if self._node is not None:
            self._retains = True
            self._node.retain(self)

    def detach(self) -> Tensor:
        """The same memory as a tensor that is not recorded.

        >>> torch.ones(2, requires_grad=True).detach()
        tensor([1., 1.])
        """
        detached = cut_off(make(self._array, self._storage), "detach()", self)
        detached._device = self._device
        return detached

    @property
    def data(self) -> Tensor:
        """As `detach`, but changes through it are not noticed by `backward`."""
        data = make(self._array, Storage(self._storage.remember()))
        data._device = self._device
        return cut_off(data, ".data", self)

    @data.setter
    def data(self, value: Tensor) -> None:
        writing(self)
        if self._node is None and value._aval.dtype != self._aval.dtype:
            raise RuntimeError(OTHER_DATA)
        set_array(self, value._array)
        self._device = value._device
        self._storage.memory = value._storage.remember()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise RuntimeError(COPY_OF_NON_LEAF)
        copied = make(self._array.copy())
        copied._requires, copied._device = self._requires, self._device
        if self._grad is not None:
            copied._grad = make(self._grad._array.copy())
            copied._grad._device = self._device
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "tensors are not pickled by fgrad.torch yet; save tensor.detach().numpy()"
        )

    def __hash__(self) -> int:
        return id(self)

    def __getattr__(self, name: str) -> Any:
        if name in _FILLED:
            return _fill(self, name)
        near = difflib.get_close_matches(name, dir(type(self)), n=3, cutoff=0.6)
        hint = f"; near: {', '.join(near)}" if near and name[:2] != "__" else ""
        raise AttributeError(
            f"'{type(self).__name__}' object has no attribute '{name}'{hint}",
            name=name,
            obj=self,
        )


_new = Tensor.__new__
_LATER = ("_array", "_base", "_cut", "_grad", "_node", "_number", "_retains")
_FILLED = {*_LATER, "_storage"}


def _fill(tensor: Tensor, name: str) -> Any:
    """An attribute that is not there yet: it takes computing, or was not needed."""
    if name == "_grad":
        tensor._grad = None
    elif name == "_retains":
        tensor._retains = False
    elif name == "_cut":
        step = None if tensor._place is None else tensor._place[2]
        is_cut = step is not None and not tensor._requires
        tensor._cut = (step.name, step.site) if step and is_cut else None
    elif tensor._pending and tensor._place is not None:
        tensor._place[0].compute(tensor)
    elif name == "_array":
        tensor._array = np.array(tensor._remote)
    elif name == "_storage":
        return _storage_of(tensor)
    elif name == "_base":
        tensor._base = None
    elif tensor._place is None:  # a view whose base was written to
        tensor._renew()
    else:
        run, number, _ = tensor._place
        tensor._node, tensor._number = run.node_of(number)
    return getattr(tensor, name)


def _storage_of(tensor: Tensor) -> Storage:
    """The storage of a tensor that had none yet: most never need it."""
    with _FIRST_USE:
        try:
            return object.__getattribute__(tensor, "_storage")  # type: ignore[no-any-return]
        except AttributeError:
            tensor._storage = Storage()
            return tensor._storage


def _initialise(
    tensor: Tensor, array: Array, storage: Storage | None, base: Tensor | None
) -> None:
    tensor._array = array
    tensor._aval = aval_of(array)
    tensor._base = base
    tensor._requires = tensor._pending = False
    tensor._node = tensor._grad = tensor._place = tensor._cut = None
    tensor._number = 0
    if storage is not None:
        tensor._storage = storage


def of_type(array: Any, aval: Aval) -> Tensor:
    """As `make`, for what is known to be of a type."""
    if INFERENCE.threads:
        return make(array)
    tensor = _new(Tensor)
    tensor._array = array if type(array) is np.ndarray else np.asarray(array)
    tensor._aval = aval
    tensor._base = tensor._node = tensor._grad = tensor._place = tensor._cut = None
    tensor._requires, tensor._pending, tensor._number = False, False, 0
    return tensor


def set_array(tensor: Tensor, array: Array) -> None:
    """Have a tensor hold another array, which may be of another type."""
    tensor.__dict__.pop("_remote", None)
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
    if type(array) is not np.ndarray and type(array) is not Tracer:
        array = np.asarray(array)
    tensor = _new(Tensor)
    if storage is None and INFERENCE.threads:
        storage = new_storage()
    _initialise(tensor, array, storage, base)
    return tensor


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
    tensor._device = source._device
