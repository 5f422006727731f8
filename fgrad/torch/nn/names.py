"""What a parameter, a buffer or a module may be called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgrad.torch.environment import typename
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    from fgrad.torch.nn.module import Module

_KINDS = {"_parameters": "parameter", "_buffers": "buffer", "_modules": "module"}


def check_name(module: Module, kind: str, name: Any) -> None:
    """Check the name under which something is registered.

    Raises:
        TypeError: it is no text.
        KeyError: it is empty, has a dot, or is that of something else.
    """
    what = _KINDS[kind]
    if not isinstance(name, str):
        raise TypeError(f"{what} name should be a string. Got {type(name).__name__}")
    if name not in getattr(module, kind) and _is_taken(module, name):
        raise KeyError(f"attribute '{name}' already exists")
    if "." in name:
        got = f", got: {name}" if what == "module" else ""
        raise KeyError(f'{what} name can\'t contain "."{got}')
    if not name:
        raise KeyError(f'{what} name can\'t be empty string ""')


def check_parameter(name: str, param: Any) -> None:
    """Check what is registered as a parameter.

    Raises:
        TypeError: it is none.
        ValueError: an operation gave it.
    """
    if not isinstance(param, Parameter):
        raise TypeError(
            f"cannot assign '{typename(param)}' object to parameter '{name}' "
            "(torch.nn.Parameter or None required)"
        )
    if param.grad_fn:
        raise ValueError(
            f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters "
            f"must be created explicitly. To express '{name}' as a function of another "
            "Tensor, compute the value in the forward() method."
        )


def check_buffer(name: str, tensor: Any) -> None:
    """Check what is registered as a buffer.

    Raises:
        TypeError: it is no tensor.
    """
    if tensor is not None and not isinstance(tensor, Tensor):
        raise TypeError(
            f"cannot assign '{typename(tensor)}' object to buffer '{name}' "
            "(torch Tensor or None required)"
        )


def _is_taken(module: Module, name: str) -> bool:
    fields = module.__dict__
    if fields.get(name) is not None:
        return True
    if any(name in fields[kind] for kind in _KINDS):
        return True
    return getattr(type(module), name, None) is not None
