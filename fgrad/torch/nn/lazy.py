"""Lazy modules: sizes of inputs are those of the first call."""

from __future__ import annotations

from typing import Any

from fgrad.torch.creation import tensor
from fgrad.torch.modes import no_grad
from fgrad.torch.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from fgrad.torch.nn.linear import Linear
from fgrad.torch.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from fgrad.torch.nn.parameter import (
    UninitializedBuffer,
    UninitializedParameter,
    is_lazy,
)
from fgrad.torch.tensor import Tensor


class LazyModuleMixin:
    """What makes a module lazy: a hook that runs before the first call.

    A subclass makes uninitialised parameters, and in ``initialize_parameters`` gives
    them the shapes that the arguments of the first call ask for. The module then
    becomes one of ``cls_to_become``, if that is set. Loading a state gives the shapes,
    too.
    """

    cls_to_become: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        module: Any = self
        self._load_hook = module._register_load_state_dict_pre_hook(self._lazy_load)
        self._initialize_hook = module.register_forward_pre_hook(
            self._infer_parameters, with_kwargs=True
        )

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters shapes; a subclass defines it."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def _held(self) -> dict[str, Any]:
        fields = self.__dict__
        return {**fields["_parameters"], **fields["_buffers"]}

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(map(is_lazy, self._held().values()))

    def reset_parameters(self) -> None:
        """Draw the parameters anew, if they have shapes."""
        if not self.has_uninitialized_params() and self._knows_its_input():
            super().reset_parameters()  # type: ignore[misc]

    def _knows_its_input(self) -> bool:
        return True

    def _lazy_load(self, state: Any, prefix: str, *rest: Any) -> None:
        for name, held in self._held().items():
            given = state.get(prefix + name)
            if is_lazy(held) and given is not None and not is_lazy(given):
                held.materialize(given.shape)

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            name = module._get_name()
            raise RuntimeError(f"module {name} has not been fully initialized")
        for name in ("_initialize_hook", "_load_hook"):
            getattr(module, name).remove()
            delattr(module, name)
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become


class LazyLinear(LazyModuleMixin, Linear):
    """A `Linear` whose ``in_features`` is that of its first input.

    >>> import fgrad.torch as torch
    >>> layer = torch.nn.LazyLinear(3)
    >>> layer(torch.ones(4, 2)).shape, layer
    (torch.Size([4, 3]), Linear(in_features=2, out_features=3, bias=True))
    """

    cls_to_become = Linear

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(dtype=dtype)

    def _knows_its_input(self) -> bool:
        return self.in_features != 0

    def initialize_parameters(self, input: Tensor) -> None:
        """Take the length of the input's last axis."""
        width = input._aval.shape[-1]
        if self.has_uninitialized_params():
            with no_grad():
                self.in_features = width
                self.weight.materialize((self.out_features, width))
                if self.bias is not None:
                    self.bias.materialize((self.out_features,))
                self.reset_parameters()
        if self.in_features == 0:
            known = self.weight._aval.shape[-1]
            if width != known:
                raise AssertionError(
                    f"The in_features inferred from input: {width} is not equal to "
                    f"in_features from self.weight: {known}"
                )
            self.in_features = width


class _LazyConvolution(LazyModuleMixin):
    ndim: int
    groups: int
    is_transposed: bool
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    weight: Any
    bias: Any

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        rest = (stride, padding, dilation, groups, False, padding_mode, device, dtype)
        super().__init__(0, 0, kernel_size, *rest)
        self._begin(out_channels, bias, dtype)

    def _begin(self, out_channels: int, bias: bool, dtype: Any) -> None:
        self.weight = UninitializedParameter(dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(dtype=dtype)

    def _knows_its_input(self) -> bool:
        return self.in_channels != 0

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Take the number of the input's channels."""
        if not self.has_uninitialized_params():
            return
        shape = input._aval.shape
        if len(shape) not in (self.ndim + 1, self.ndim + 2):
            raise RuntimeError(
                f"Expected {self.ndim + 1}D (unbatched) or {self.ndim + 2}D (batched) "
                f"input to {type(self).__name__}, but got input of size: {input.shape}"
            )
        self.in_channels = shape[-self.ndim - 1]
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        channels = (self.out_channels, self.in_channels // self.groups)
        if self.is_transposed:
            channels = (self.in_channels, self.out_channels // self.groups)
        self.weight.materialize((*channels, *self.kernel_size))
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class LazyConv1d(_LazyConvolution, Conv1d):
    """A `Conv1d` whose ``in_channels`` are those of its first input.

    >>> layer = nn.LazyConv1d(4, 3)
    >>> layer(torch.ones(1, 2, 5)).shape
    torch.Size([1, 4, 3])
    >>> layer
    Conv1d(2, 4, kernel_size=(3,), stride=(1,))
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConvolution, Conv2d):
    """A `Conv2d` whose ``in_channels`` are those of its first input.

    >>> layer = nn.LazyConv2d(4, 3)
    >>> layer(torch.ones(1, 2, 5, 5)).shape, layer.in_channels
    (torch.Size([1, 4, 3, 3]), 2)
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConvolution, Conv3d):
    """A `Conv3d` whose ``in_channels`` are those of its first input.

    >>> layer = nn.LazyConv3d(4, 3)
    >>> layer(torch.ones(1, 2, 5, 5, 5)).shape, layer.in_channels
    (torch.Size([1, 4, 3, 3, 3]), 2)
    """

    cls_to_become = Conv3d


class _LazyTransposed(_LazyConvolution):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        pads = (stride, padding, output_padding)
        rest = (groups, False, dilation, padding_mode, device, dtype)
        LazyModuleMixin.__init__(self, 0, 0, kernel_size, *pads, *rest)
        self._begin(out_channels, bias, dtype)


class LazyConvTranspose1d(_LazyTransposed, ConvTranspose1d):
    """A `ConvTranspose1d` whose ``in_channels`` are those of its first input.

    >>> layer = nn.LazyConvTranspose1d(4, 3)
    >>> layer(torch.ones(1, 2, 5)).shape, layer.in_channels
    (torch.Size([1, 4, 7]), 2)
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposed, ConvTranspose2d):
    """A `ConvTranspose2d` whose ``in_channels`` are those of its first input.

    >>> layer = nn.LazyConvTranspose2d(4, 3)
    >>> layer(torch.ones(1, 2, 5, 5)).shape, layer.weight.shape
    (torch.Size([1, 4, 7, 7]), torch.Size([2, 4, 3, 3]))
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposed, ConvTranspose3d):
    """A `ConvTranspose3d` whose ``in_channels`` are those of its first input.

    >>> nn.LazyConvTranspose3d(4, 3)(torch.ones(1, 2, 1, 1, 1)).shape
    torch.Size([1, 4, 3, 3, 3])
    """

    cls_to_become = ConvTranspose3d


class _LazyNormalization(LazyModuleMixin):
    num_features: int
    affine: bool
    track_running_stats: bool
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False, device, dtype)
        self.affine, self.track_running_stats = affine, track_running_stats
        if affine:
            self.weight = UninitializedParameter(dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(dtype=dtype)
            self.running_var = UninitializedBuffer(dtype=dtype)
            self.num_batches_tracked = tensor(0)

    def _knows_its_input(self) -> bool:
        return self.num_features != 0

    def initialize_parameters(self, input: Tensor) -> None:
        """Take the number of the input's channels."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input._aval.shape[1]
        for held in self._held().values():
            if is_lazy(held):
                held.materialize((self.num_features,))
        self.reset_parameters()


class LazyBatchNorm1d(_LazyNormalization, BatchNorm1d):
    """A `BatchNorm1d` whose ``num_features`` are those of its first input.

    >>> layer = nn.LazyBatchNorm1d()
    >>> layer(torch.ones(4, 3)).shape, layer.num_features
    (torch.Size([4, 3]), 3)
    """

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNormalization, BatchNorm2d):
    """A `BatchNorm2d` whose ``num_features`` are those of its first input.

    >>> layer = nn.LazyBatchNorm2d()
    >>> layer(torch.ones(2, 3, 1, 1)).shape, layer.num_features
    (torch.Size([2, 3, 1, 1]), 3)
    """

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNormalization, BatchNorm3d):
    """A `BatchNorm3d` whose ``num_features`` are those of its first input.

    >>> layer = nn.LazyBatchNorm3d()
    >>> layer(torch.ones(2, 3, 1, 1, 1)).shape, layer.num_features
    (torch.Size([2, 3, 1, 1, 1]), 3)
    """

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNormalization, InstanceNorm1d):
    """An `InstanceNorm1d` whose ``num_features`` are those of its first input.

    >>> layer = nn.LazyInstanceNorm1d(affine=False)
    >>> layer(torch.ones(2, 3, 5)).shape, layer.num_features
    (torch.Size([2, 3, 5]), 3)
    """

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNormalization, InstanceNorm2d):
    """An `InstanceNorm2d` whose ``num_features`` are those of its first input.

    >>> layer = nn.LazyInstanceNorm2d()
    >>> layer(torch.ones(2, 3, 5, 5)).shape, layer.weight.shape
    (torch.Size([2, 3, 5, 5]), torch.Size([3]))
    """

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNormalization, InstanceNorm3d):
    """An `InstanceNorm3d` whose ``num_features`` are those of its first input.

    >>> nn.LazyInstanceNorm3d()(torch.ones(2, 3, 1, 1, 2)).shape
    torch.Size([2, 3, 1, 1, 2])
    """

    cls_to_become = InstanceNorm3d
