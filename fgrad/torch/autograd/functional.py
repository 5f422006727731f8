"""``torch.autograd.functional``: derivatives of functions of tensors."""

from fgrad.torch.jacobians import hessian, hvp, jacobian, jvp, vhp, vjp

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
