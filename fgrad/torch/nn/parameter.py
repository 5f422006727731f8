"""Parameters: tensors that modules list, and optimisers change.

The first call of a lazy module tells the shapes of those that are not initialised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.dtypes import as_dtype, get_default_dtype
from fgrad.torch.dtypes import dtype as dtype_of
from fgrad.torch.placement import place
from fgrad.torch.printing import format_as
from fgrad.torch.tensor import Tensor, adopt, make

NO_SHAPE = (
    "Can't access the shape of an uninitialized parameter or buffer. This error usually"
    " happens in `load_state_dict` when trying to load an uninitialized parameter into "
    "an initialized one. Call `forward` to initialize the parameters before accessing "
    "their attributes."
)
NOT_USABLE = (
    "Attempted to use an uninitialized parameter. This error happens when you are using"
    " a `LazyModule` or explicitly manipulating `torch.nn.parameter.{}` objects. When "
    "using LazyModules Call `forward` with a dummy batch to initialize the parameters "
    "before calling torch functions"
)


class Parameter(Tensor):
    """A tensor that becomes a parameter of the module that it is assigned to.

    Args:
        data: the values; their memory is shared.
        requires_grad: whether operations on it are recorded.

    >>> nn.Parameter(torch.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    __module__ = "torch.nn.parameter"

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        """A parameter of a tensor."""
        self = object.__new__(cls)
        data = Tensor() if data is None else data
        if requires_grad and data.dtype.category < 2:
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        adopt(self, data.detach())
        self._requires = requires_grad
        return self

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        pass

    def __repr__(self) -> str:
        return "Parameter containing:\n" + format_as("tensor(", self)

    __str__ = __repr__

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        data = place(make(self._array.copy()), self._device)
        copied = type(self)(data, self._requires)
        memo[id(self)] = copied
        return copied


class Buffer:
    """A tensor to be registered as a buffer of the module that it is assigned to.

    >>> layer = nn.Module()
    >>> layer.count = nn.Buffer(torch.zeros(1))
    >>> list(layer.state_dict()), list(layer.parameters())
    (['count'], [])
    """

    def __init__(self, data: Tensor, *, persistent: bool = True) -> None:
        self.data = data
        self.persistent = persistent


class _Uninitialized(Tensor):
    """What both share: a dtype, and errors where values or a shape are asked for."""

    cls_to_become: type[Tensor]
    _dtype: dtype_of

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """One without memory."""
        return object.__new__(cls)

    def __init__(
        self, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        self._dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
        self._requires = requires_grad
        self._pending = self._retains = False
        self._node = self._grad = self._base = self._place = self._cut = None
        self._number = 0

    @property
    def _array(self) -> Any:  # type: ignore[override]
        raise ValueError(NOT_USABLE.format(type(self).__name__))

    @property
    def _aval(self) -> Any:  # type: ignore[override]
        raise ValueError(NOT_USABLE.format(type(self).__name__))

    @property
    def shape(self) -> Any:
        """Not known.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(NO_SHAPE)

    @property
    def dtype(self) -> dtype_of:
        """The dtype that the elements will have."""
        return self._dtype

    def detach(self) -> Any:
        """The same object, which is what a `state_dict` holds."""
        return self

    def convert(self, target: dtype_of) -> None:
        """Set the dtype that the elements will have."""
        self._dtype = target

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a parameter, or a tensor, of a shape, with values that are not set."""
        kind = self._dtype if dtype is None else dtype
        requires = self._requires
        self.__class__ = self.cls_to_become  # type: ignore[assignment]
        adopt(self, make(np.empty(tuple(shape), kind.numpy)))
        self._requires = requires

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = type(self)(self._requires, dtype=self._dtype)
        memo[id(self)] = copied
        return copied

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter that has no shape yet; `materialize` gives it one.

    >>> import fgrad.torch as torch
    >>> parameter = torch.nn.UninitializedParameter()
    >>> parameter
    <UninitializedParameter>
    >>> parameter.materialize((2, 3))
    >>> parameter.shape
    torch.Size([2, 3])
    """

    cls_to_become = Parameter


class UninitializedBuffer(_Uninitialized):
    """A buffer that has no shape yet; `materialize` gives it one.

    >>> buffer = nn.UninitializedBuffer()
    >>> buffer.materialize((2, 3))
    >>> buffer.shape
    torch.Size([2, 3])
    """

    cls_to_become = Tensor

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> None:
        super().__init__(requires_grad, device, dtype)
        self.persistent = persistent


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    return isinstance(param, _Uninitialized)
