"""``torch.nn.utils``: norms of gradients, parameters as a vector, padded sequences."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from fgrad.torch.aliases import add_modules
from fgrad.torch.history import check_writable
from fgrad.torch.joining import cat
from fgrad.torch.modes import no_grad
from fgrad.torch.nn.utils import rnn
from fgrad.torch.nn.utils.norms import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from fgrad.torch.tensor import Array, Tensor, make

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]


def _gradients(parameters: Any) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [x._grad for x in given if x._grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The ``norm_type``-norm of the norms of tensors, as one number.

    >>> nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    order = float(norm_type)
    norms = [_norm(x._array.reshape(-1), order) for x in tensors]
    if not norms:
        return make(np.float32(0.0))
    return make(np.asarray(_norm(np.array(norms), order), norms[0].dtype))


def _norm(flat: Array, order: float) -> Any:
    """The norm of a vector: where it is the common one without `norm`'s questions."""
    return np.sqrt(flat.dot(flat)) if order == 2.0 else np.linalg.norm(flat, order)


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale gradients so that their norm together is at most ``max_norm``.

    ``foreach`` chooses an implementation in PyTorch; there is one here.

    Returns:
        The norm before.

    Raises:
        RuntimeError: it is not finite, and ``error_if_nonfinite``.

    >>> x = torch.zeros(2, requires_grad=True)
    >>> x.grad = torch.tensor([3.0, 4.0])
    >>> nn.utils.clip_grad_norm_([x], 1.0), x.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    gradients = _gradients(parameters)
    total = get_total_norm(gradients, norm_type)
    if error_if_nonfinite and not math.isfinite(total._array.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is "
            "non-finite, so it cannot be clipped. To disable this error and scale the "
            "gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    scale = float(max_norm) / (total._array + 1e-6)
    with no_grad():
        for gradient in gradients:
            gradient.mul_(1.0 if scale > 1.0 else float(scale))  # NaN stays NaN
    return total


def clip_grad_value_(
    parameters: Any, clip_value: float, foreach: bool | None = None
) -> None:
    """Limit the elements of gradients to ``[-clip_value, clip_value]``.

    ``foreach`` chooses an implementation in PyTorch; there is one here.

    >>> x = torch.zeros(2, requires_grad=True)
    >>> x.grad = torch.tensor([0.5, -4.0])
    >>> nn.utils.clip_grad_value_([x], 1.0)
    >>> x.grad
    tensor([ 0.5000, -1.0000])
    """
    limit = float(clip_value)
    with no_grad():
        for gradient in _gradients(parameters):
            check_writable(gradient)
            array = gradient._array
            low, high = np.array([-limit, limit], array.dtype)  # quicker than numbers
            array.clip(low, high, out=array)
            gradient._storage.changed()


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of parameters in one vector.

    >>> nn.utils.parameters_to_vector([torch.ones(1, 2), torch.zeros(1)])
    tensor([1., 1., 0.])
    """
    return cat([x.view(-1) for x in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give parameters the elements of a vector.

    Raises:
        TypeError: it is no tensor.

    >>> x = torch.zeros(1, 2)
    >>> nn.utils.vector_to_parameters(torch.tensor([3.0, 4.0]), [x])
    >>> x
    tensor([[3., 4.]])
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec)}")
    start = 0
    for x in parameters:
        end = start + x._aval.size
        x.data = vec[start:end].view_as(x).data  # type: ignore[index]
        start = end


_LAZY = {  # where names are that need modules, which need this package
    **dict.fromkeys(["parametrizations", "parametrize", "prune", "fusion"], ""),
    **dict.fromkeys(["fuse_conv_bn_eval", "fuse_conv_bn_weights"], "fusion"),
    **dict.fromkeys(["fuse_linear_bn_eval", "fuse_linear_bn_weights"], "fusion"),
    "skip_init": "skipping",
    "stateless": "",
}
add_modules("nn.utils", "clip_grad convert_parameters init spectral_norm weight_norm")


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    module = importlib.import_module(f"{__name__}.{_LAZY[name] or name}")
    return getattr(module, name) if _LAZY[name] else module


def __dir__() -> list[str]:
    return [*__all__, *_LAZY]
