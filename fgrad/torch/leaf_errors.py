"""What PyTorch says where an attribute of a tensor cannot be had, or set."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fgrad.torch.tensor import Tensor

NOT_A_LEAF = (
    "you can only change requires_grad flags of leaf variables."
    " If you want to use a computed variable in a subgraph that doesn't require "
    "differentiation use var_no_grad = var.detach()."
)
ONLY_FLOATS = "only Tensors of floating point dtype can require gradients"
ONLY_INEXACT = "only Tensors of floating point and complex dtype can require gradients"
INFERENCE_LEAF = (
    "Setting requires_grad=True on inference tensor outside InferenceMode is not "
    "allowed."
)
GRAD_OF_NON_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
    ".grad attribute won't be populated during autograd.backward(). If you indeed want "
    "the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
    "non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you "
    "access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for "
    "more information."
)
COPY_OF_NON_LEAF = (
    "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
    "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
    "because of a torch.nn.utils.weight_norm usage, see "
    "https://github.com/pytorch/pytorch/pull/103001"
)
OTHER_DATA = (
    "Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have "
    "incompatible tensor type."
)


def misfit_of_gradient(tensor: Tensor, gradient: Tensor) -> str:
    """Why a gradient cannot be that of a tensor; empty where it can."""
    if gradient._aval.shape != tensor._aval.shape:
        return (
            f"attempting to assign a gradient of size '{list(gradient.shape)}' to a "
            f"tensor of size '{list(tensor.shape)}'. Please ensure that the gradient "
            "and the tensor are the same size"
        )
    if gradient._aval.dtype != tensor._aval.dtype:
        return (
            f"attempting to assign a gradient with dtype '{gradient.dtype.cpp}' to a "
            f"tensor with grad_dtype '{tensor.dtype.kind}'. The gradient must match "
            "the tensor's grad_dtype (defaults to the tensor's dtype). You can set "
            "the tensor's grad_dtype attribute with a specific dtype, or None to "
            "allow any dtype. Set grad_dtype with caution. Diverging the dtypes of "
            "a tensor and its gradient may break downstream systems that assume "
            "they match."
        )
    if gradient._device is not tensor._device:
        return (
            "attempting to assign a gradient with device type "
            f"'{gradient._device.type}' to a tensor with device type "
            f"'{tensor._device.type}'. Please ensure that the gradient and the tensor "
            "are on the same device"
        )
    return ""
