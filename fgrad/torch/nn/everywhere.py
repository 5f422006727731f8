"""Hooks that all modules call, before their own."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from fgrad.torch.handles import RemovableHandle

FORWARD: OrderedDict[int, Any] = OrderedDict()
FORWARD_PRE: OrderedDict[int, Any] = OrderedDict()
BACKWARD: OrderedDict[int, Any] = OrderedDict()
BACKWARD_PRE: OrderedDict[int, Any] = OrderedDict()
REGISTRATION: dict[str, OrderedDict[int, Any]] = {
    "_parameters": OrderedDict(),
    "_buffers": OrderedDict(),
    "_modules": OrderedDict(),
}
EITHER = (
    "Cannot use both regular backward hooks and full backward hooks as a global Module "
    "hook. Please use only one of them."
)


class _Kind:
    """Whether the backward hooks are full ones; None before there is one."""

    is_full: bool | None = None


KIND = _Kind()


def registered(kind: str, module: Any, name: str, value: Any) -> Any:
    """What hooks make of a parameter, buffer or module that is registered."""
    for hook in REGISTRATION[kind].values():
        found = hook(module, name, value)
        value = value if found is None else found
    return value


def register_module_forward_pre_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, args)`` before any module's ``forward``.

    What it returns, if not None, takes the place of the arguments.
    """
    return RemovableHandle(FORWARD_PRE, (hook, False))


def register_module_forward_hook(
    hook: Any, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after any module's ``forward``.

    Args:
        hook: what it returns, if not None, takes the place of the output.
        with_kwargs: pass the arguments by name, too, before the output.
        always_call: call it where an error was raised, too, with the output None.

    >>> import fgrad.torch as torch
    >>> register = torch.nn.modules.module.register_module_forward_hook
    >>> with register(lambda module, args, output: print(module)):
    ...     y = torch.nn.Sequential(torch.nn.ReLU())(torch.ones(1))
    ReLU()
    Sequential(
      (0): ReLU()
    )
    """
    return RemovableHandle(FORWARD, (hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before `backward` passes any module."""
    return RemovableHandle(BACKWARD_PRE, hook)


def register_module_full_backward_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` after it passed any module.

    Raises:
        RuntimeError: there was one of `register_module_backward_hook`.
    """
    return _backward(hook, full=True)


def register_module_backward_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` at any module's last operation.

    Raises:
        RuntimeError: there was one of `register_module_full_backward_hook`.
    """
    return _backward(hook, full=False)


def _backward(hook: Any, full: bool) -> RemovableHandle:
    if KIND.is_full is (not full):
        raise RuntimeError(EITHER)
    KIND.is_full = full
    return RemovableHandle(BACKWARD, hook)


def register_module_parameter_registration_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, name, parameter)`` where a module gets a parameter.

    What it returns, if not None, takes the parameter's place.
    """
    return RemovableHandle(REGISTRATION["_parameters"], hook)


def register_module_buffer_registration_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` where a module gets a buffer."""
    return RemovableHandle(REGISTRATION["_buffers"], hook)


def register_module_module_registration_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, name, child)`` where a module gets another one."""
    return RemovableHandle(REGISTRATION["_modules"], hook)
