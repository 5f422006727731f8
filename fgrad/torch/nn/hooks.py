"""Hooks of modules: functions that are called before and after ``forward``, and when
`backward` passes the module.

For the latter the tensors that enter and leave a module go through a `Function` that
changes nothing; its two nodes are where gradients are seen and replaced.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from fgrad.torch.autograd.function import Function
from fgrad.torch.handles import RemovableHandle
from fgrad.torch.modes import STATE
from fgrad.torch.nn import everywhere
from fgrad.torch.tensor import Tensor

EITHER = (
    "Cannot use both regular backward hooks and full backward hooks on a single "
    "Module. Please use only one of them."
)
SILENCED = (
    "module forward hook with ``always_call=True`` raised an exception that was "
    "silenced as another error was raised in forward: {}"
)
NO_INPUTS = (
    "Full backward hook is firing when gradients are computed with respect to module "
    "outputs since no inputs require gradients. See "
    "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
    "#torch.nn.Module.register_full_backward_hook for more details."
)
NOT_NONE = (
    "Backward hook for Modules where no input requires gradient should always return "
    "None or None for all gradients."
)


class BackwardHookFunction(Function):
    """Passes tensors on unchanged, so that there is a node to watch."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The tensors themselves."""
        ctx.mark_non_differentiable(*[x for x in tensors if not x._requires])
        return tensors

    @staticmethod
    def backward(_: Any, *gradients: Any) -> Any:
        """The gradients themselves."""
        return gradients


def _passed(values: Sequence[Any]) -> tuple[list[Any], Any]:
    """Values whose tensors went through the function, and its node, if any."""
    tensors = [x for x in values if isinstance(x, Tensor)]
    if not STATE.enabled or not any(x._requires for x in tensors):
        return list(values), None
    results = BackwardHookFunction.apply(*tensors)
    node = next(x.grad_fn for x in results if x.grad_fn is not None)
    new = iter(results)
    return [next(new) if isinstance(x, Tensor) else x for x in values], node


def _are_tensors(values: Sequence[Any]) -> list[bool]:
    return [isinstance(x, Tensor) for x in values]


def _spread(gradients: Sequence[Any], are_tensors: list[bool]) -> tuple[Any, ...]:
    """The gradients of tensors among values; None at the places of others."""
    found = iter(gradients)
    return tuple([next(found) if is_tensor else None for is_tensor in are_tensors])


def _picked(gradients: Sequence[Any], are_tensors: list[bool]) -> tuple[Any, ...]:
    """Those of the tensors alone."""
    pairs = zip(gradients, are_tensors, strict=True)
    return tuple([gradient for gradient, is_tensor in pairs if is_tensor])


def _replaced(what: str, kind: str, found: Any, expected: int) -> tuple[Any, ...]:
    """What a hook returned in place of gradients, as a tuple."""
    if len(found) != expected:
        raise RuntimeError(
            f"{what} returned an invalid number of {kind}, got {len(found)}, but "
            f"expected {expected}"
        )
    return tuple(found)


class _Watched:
    """One call of a module whose gradients hooks are to see."""

    def __init__(self, module: Any, hooks: list[Any], before: list[Any]) -> None:
        self._module = module
        self._hooks, self._before = hooks, before
        self._inputs: list[bool] = []
        self._outputs: list[bool] = []
        self._given: tuple[Any, ...] | None = None
        self._sees_inputs = False

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, watched."""
        self._inputs = _are_tensors(args)
        passed, node = _passed(args)
        self._sees_inputs = node is not None
        if node is not None and self._hooks:
            node.register_hook(self._on_inputs)
        return tuple(passed)

    def leave(self, result: Any) -> Any:
        """The results, watched; only a tensor or a tuple of tensors can be."""
        if not isinstance(result, Tensor | tuple):
            text = (
                "For backward hooks to be called, module output should be a Tensor or "
                f"a tuple of Tensors but received {type(result)}"
            )
            warnings.warn(text, UserWarning, stacklevel=4)
            return result
        outputs = (result,) if isinstance(result, Tensor) else result
        self._outputs = _are_tensors(outputs)
        passed, node = _passed(outputs)
        if node is not None:
            node.register_prehook(self._on_outputs)
        return passed[0] if isinstance(result, Tensor) else tuple(passed)

    def _on_outputs(self, gradients: Sequence[Any]) -> tuple[Any, ...] | None:
        given = _spread(gradients, self._outputs)
        for hook in self._before:
            found = hook(self._module, given)
            if found is not None:
                name = "Backward pre hook"
                given = _replaced(name, "grad_output", found, len(given))
        self._given = given
        if not self._sees_inputs:
            self._call_without_inputs()
        return _picked(given, self._outputs)

    def _call_without_inputs(self) -> None:
        warnings.warn(NO_INPUTS, UserWarning, stacklevel=2)
        nothing = (None,) * len(self._inputs)
        for hook in self._hooks:
            found = hook(self._module, nothing, self._given)
            if found is not None and any(x is not None for x in found):
                raise RuntimeError(NOT_NONE)
        self._given = None

    def _on_inputs(self, gradients: Sequence[Any], _: Any) -> tuple[Any, ...] | None:
        if self._given is None:  # the gradient did not come through the results
            return None
        found = _spread(gradients, self._inputs)
        for hook in self._hooks:
            changed = hook(self._module, found, self._given)
            if changed is not None:
                found = _replaced("Backward hook", "grad_input", changed, len(found))
        self._given = None
        return _picked(found, self._inputs)


class _Call:
    """The hooks after one call of ``forward``, and which of them have been called."""

    def __init__(self, module: Any, hooks: list[Any]) -> None:
        self._module = module
        self._left = list(hooks)
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        self._result: Any = None

    def finish(self, result: Any) -> Any:
        """What the hooks make of a result."""
        self._result = result
        while self._left:
            hook, with_kwargs, _ = self._left.pop(0)
            self._call(hook, with_kwargs)
        return self._result

    def _call(self, hook: Any, with_kwargs: bool) -> None:
        given = (self.args, self.kwargs) if with_kwargs else (self.args,)
        changed = hook(self._module, *given, self._result)
        self._result = self._result if changed is None else changed

    def call_the_rest(self) -> None:
        """After an error: those that want to be called always."""
        for hook, with_kwargs, always in self._left:
            if not always:
                continue
            try:
                self._call(hook, with_kwargs)
            except Exception as error:
                warnings.warn(SILENCED.format(error), UserWarning, stacklevel=4)


class WithHooks:
    """The part of a module that calls hooks."""

    _forward_hooks: OrderedDict[int, Any]
    _forward_pre_hooks: OrderedDict[int, Any]
    _backward_hooks: OrderedDict[int, Any]
    _backward_pre_hooks: OrderedDict[int, Any]
    _is_full_backward_hook: bool | None
    forward: Callable[..., Any]

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        forward = [*everywhere.FORWARD.values(), *self._forward_hooks.values()]
        args, kwargs = self._before_forward(args, kwargs)
        full, partial, before = self._backward_hooks_of_all()
        watched = _Watched(self, full, before) if full or before else None
        call = _Call(self, forward)
        try:
            if watched is not None:
                args = watched.enter(args)
            call.args, call.kwargs = args, kwargs
            result = call.finish(self.forward(*args, **kwargs))
        except Exception:
            call.call_the_rest()
            raise
        if watched is not None:
            result = watched.leave(result)
        if partial:
            self._watch_node(result, partial)
        return result

    def _before_forward(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that hooks make of these."""
        own = self._forward_pre_hooks.values()
        for hook, with_kwargs in [*everywhere.FORWARD_PRE.values(), *own]:
            found = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if found is None:
                continue
            if not with_kwargs:
                args = found if isinstance(found, tuple) else (found,)
            elif isinstance(found, tuple) and len(found) == 2:
                args, kwargs = found
            else:
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, "
                    f"new_kwargs), but got {found}."
                )
        return args, kwargs

    def _backward_hooks_of_all(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Full backward hooks, those of the last operation, and those before."""
        full: list[Any] = []
        partial: list[Any] = []
        for is_full, hooks in (
            (everywhere.KIND.is_full, everywhere.BACKWARD),
            (self._is_full_backward_hook, self._backward_hooks),
        ):
            (partial if is_full is False else full).extend(hooks.values())
        own = self._backward_pre_hooks.values()
        return full, partial, [*everywhere.BACKWARD_PRE.values(), *own]

    def _watch_node(self, result: Any, hooks: list[Any]) -> None:
        """Have hooks see the gradients of the operation that gave the result."""
        while not isinstance(result, Tensor):
            values = result.values() if isinstance(result, dict) else result
            result = next(x for x in values if isinstance(x, Tensor))
        if result.grad_fn is not None:
            for hook in hooks:
                result.grad_fn.register_hook(functools.partial(hook, self))

    def register_forward_pre_hook(
        self, hook: Any, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; it may return other ones.

        >>> layer = nn.Identity()
        >>> hook = lambda module, args: (args[0] * 10,)
        >>> handle = layer.register_forward_pre_hook(hook)
        >>> layer(torch.ones(2))
        tensor([10., 10.])
        """
        entry = (hook, with_kwargs)
        return RemovableHandle(self._forward_pre_hooks, entry, prepend=prepend)

    def register_forward_hook(
        self,
        hook: Any,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after; it may return another output.

        With ``always_call`` it is called where an error was raised, too.

        >>> layer = nn.Linear(2, 3)
        >>> hook = lambda module, args, output: print(output.shape)
        >>> handle = layer.register_forward_hook(hook)
        >>> out = layer(torch.ones(4, 2))
        torch.Size([4, 3])
        """
        entry = (hook, with_kwargs, always_call)
        return RemovableHandle(self._forward_hooks, entry, prepend=prepend)

    def register_full_backward_hook(
        self, hook: Any, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when `backward` passed.

        It may return another ``grad_input``. Only positional arguments are watched.

        Raises:
            RuntimeError: there are hooks of `register_backward_hook`.

        >>> layer = torch.nn.ReLU()
        >>> hook = lambda module, grad_input, grad_output: print(grad_input)
        >>> handle = layer.register_full_backward_hook(hook)
        >>> x = torch.tensor([-1.0, 2.0], requires_grad=True)
        >>> layer(x).sum().backward()
        (tensor([0., 1.]),)
        """
        self._choose(full=True)
        return RemovableHandle(self._backward_hooks, hook, prepend=prepend)

    def register_full_backward_pre_hook(
        self, hook: Any, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before; it may return another one.

        >>> layer, x = nn.Tanh(), torch.zeros(2, requires_grad=True)
        >>> hook = lambda module, grad_output: (grad_output[0] * 3,)
        >>> handle = layer.register_full_backward_pre_hook(hook)
        >>> layer(x).sum().backward()
        >>> x.grad
        tensor([3., 3.])
        """
        return RemovableHandle(self._backward_pre_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` at the last operation.

        It sees the gradients of that operation's operands, not those of the module's
        arguments; use `register_full_backward_hook`.

        Raises:
            RuntimeError: there are hooks of `register_full_backward_hook`.
        """
        self._choose(full=False)
        return RemovableHandle(self._backward_hooks, hook)

    def _choose(self, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(EITHER)
        self._is_full_backward_hook = full
