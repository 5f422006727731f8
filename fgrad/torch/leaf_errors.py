"""What PyTorch says where an attribute of a tensor cannot be had, or set."""

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
