"""What a tensor tells of its memory and its place in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.layouts import is_in_format
from fgrad.torch.memory import places_of
from fgrad.torch.parting import tensor_split
from fgrad.torch.reductions import sum as sum_of
from fgrad.torch.registry import METHODS, function, method, operation
from fgrad.torch.shapes import reshape
from fgrad.torch.size import axis_of, size_arguments
from fgrad.torch.storage import writing
from fgrad.torch.tensor import Tensor


@method("stride")
def stride(self: Tensor, dim: int | None = None) -> Any:
    """How many elements lie between neighbours along each axis, or one.

    >>> torch.ones(2, 3).stride(), torch.ones(2, 3).stride(0)
    ((3, 1), 3)
    """
    steps = tuple(step // self._array.itemsize for step in self._array.strides)
    return steps if dim is None else steps[axis_of(dim, self._aval.ndim)]


@method("is_contiguous")
def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements are in C order in memory, or in that of a format.

    >>> torch.ones(2, 3).is_contiguous(), torch.ones(2, 3).t().is_contiguous()
    (True, False)
    """
    return is_in_format(self, memory_format)


@method("data_ptr")
def data_ptr(self: Tensor) -> int:
    """The address of the first element.

    >>> x = torch.ones(2)
    >>> x.data_ptr() == x.view(2, 1).data_ptr()
    True
    """
    address: int = self._array.__array_interface__["data"][0]
    return address


@method("storage_offset")
def storage_offset(self: Tensor) -> int:
    """How many elements of its memory come before the first one.

    >>> torch.arange(4)[2:].storage_offset()
    2
    """
    return places_of(self._array).first


@method("_is_view")
def _is_view(self: Tensor) -> bool:
    """Whether the tensor is a view, other than by `detach`."""
    return self._base is not None


@operation("detach_")
def detach_(input: Tensor) -> Tensor:
    """Make the tensor a leaf that is not recorded.

    Raises:
        RuntimeError: it is a view.

    >>> x = torch.ones(2, requires_grad=True) * 2
    >>> x.detach_()
    tensor([2., 2.])
    """
    if input._base is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view "
            "is set as True, gradients are views of DDP buckets, and hence detach_() "
            "cannot be called on these gradients. To fix this error, please refer to "
            "the Optimizer.zero_grad() function in torch/optim/optimizer.py as the "
            "solution."
        )
    writing(input)
    input._node, input._requires = None, False
    return input


@method("__contains__")
def _contains(self: Tensor, element: Any) -> bool:
    value = element._array if isinstance(element, Tensor) else element
    return bool(np.any(self._array == value))


@method("__reversed__")
def _reversed(self: Tensor) -> Any:
    return self.flip(0) if self._aval.ndim else self


@function("detach")
def detach(input: Tensor) -> Tensor:
    """The same memory as a tensor that is not recorded.

    >>> torch.detach(torch.ones(2, requires_grad=True))
    tensor([1., 1.])
    """
    return Tensor.detach(input)


@operation("hsplit")
def hsplit(input: Tensor, indices_or_sections: Any) -> Any:
    """Parts along the second axis; of vectors along the first.

    >>> torch.hsplit(torch.tensor([[1, 2], [3, 4]]), 2)
    (tensor([[1],
            [3]]), tensor([[2],
            [4]]))
    """
    return tensor_split(input, indices_or_sections, min(1, input._aval.ndim - 1))


@operation("vsplit")
def vsplit(input: Tensor, indices_or_sections: Any) -> Any:
    """Parts along the first axis.

    >>> torch.vsplit(torch.tensor([[1, 2], [3, 4]]), 2)
    (tensor([[1, 2]]), tensor([[3, 4]]))
    """
    return tensor_split(input, indices_or_sections, 0)


@method("sum_to_size")
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over the axes that were broadcast from a shape.

    >>> torch.ones(2, 3).sum_to_size(2, 1)
    tensor([[3.],
            [3.]])
    """
    shape = size_arguments("sum_to_size", size)
    new = self._aval.ndim - len(shape)
    axes = [k + new for k, n in enumerate(shape) if n == 1 != self._aval.shape[k + new]]
    summed = sum_of(self, (*range(new), *axes), True) if new or axes else self
    return reshape(summed, shape) if new else summed


def _version(self: Tensor) -> int:
    if self._storage.is_inference:
        raise RuntimeError("Inference tensors do not track version counter.")
    return self._storage.version


@operation("is_inference")
def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode.

    >>> torch.is_inference(torch.ones(2))
    False
    """
    return input._storage.is_inference


METHODS["itemsize"] = property(lambda self: self._array.itemsize)
METHODS["nbytes"] = property(lambda self: self._array.nbytes)
METHODS["is_sparse"] = property(lambda self: False)
METHODS["_is_view"] = lambda self: self._base is not None
METHODS["retains_grad"] = property(lambda self: self._retains)
METHODS["_version"] = property(_version)
