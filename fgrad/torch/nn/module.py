"""Modules: parameters, buffers and child modules under names, and a ``forward``."""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Self

from fgrad.torch.environment import typename
from fgrad.torch.nn import state
from fgrad.torch.nn.conversions import WithConversions
from fgrad.torch.nn.everywhere import (
    BACKWARD,
    BACKWARD_PRE,
    FORWARD,
    FORWARD_PRE,
    registered,
)
from fgrad.torch.nn.hooks import WithHooks
from fgrad.torch.nn.names import check_buffer, check_name, check_parameter
from fgrad.torch.nn.parameter import Buffer, Parameter, UninitializedBuffer
from fgrad.torch.nn.state_hooks import WithStateHooks
from fgrad.torch.tensor import Tensor


class Module(WithConversions, WithHooks, WithStateHooks):
    """The base of all layers and models.

    A subclass calls ``super().__init__()``, assigns parameters and modules to itself,
    and defines ``forward``, which a call of the module runs.

    >>> class Scaled(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = nn.Parameter(torch.tensor(3.0))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> Scaled()(torch.ones(2)).detach(), list(Scaled().state_dict())
    (tensor([3., 3.]), ['scale'])
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]

    def __init__(self) -> None:
        fields: dict[str, Any] = {
            "training": True,
            "_parameters": {},
            "_buffers": {},
            "_modules": {},
            "_non_persistent_buffers_set": set(),
            "_forward_hooks": OrderedDict(),
            "_forward_pre_hooks": OrderedDict(),
            "_backward_hooks": OrderedDict(),
            "_backward_pre_hooks": OrderedDict(),
            "_is_full_backward_hook": None,
        }
        self.__dict__.update(fields)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What a call computes; a subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or FORWARD
            or FORWARD_PRE
            or BACKWARD
            or BACKWARD_PRE
        ):
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        if isinstance(value, Buffer):
            self.register_buffer(name, value.data, value.persistent)
            return
        if isinstance(value, UninitializedBuffer):
            self.register_buffer(name, value, value.persistent)
            return
        kind = next((k for t, k in _KINDS if isinstance(value, t)), None)
        if kind is not None:
            self._require_initialised(kind)
            for other in ("_parameters", "_buffers", "_modules"):
                if other != kind:
                    fields[other].pop(name, None)
            fields.pop(name, None)
            fields[kind][name] = registered(kind, self, name, value)
            return
        for known in ("_parameters", "_modules", "_buffers"):
            if name in fields.get(known, ()):
                self._replace(known, name, value)
                return
        object.__setattr__(self, name, value)

    def _require_initialised(self, kind: str) -> None:
        if kind not in self.__dict__:
            kinds = {"_parameters": "parameters", "_buffers": "buffer"}
            what = kinds.get(kind, "module")
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")

    def _replace(self, known: str, name: str, value: Any) -> None:
        """Assign to the name of a parameter, module or buffer what is none."""
        if value is None or (known == "_buffers" and isinstance(value, Tensor)):
            self.__dict__[known][name] = value
            return
        what, wanted = {
            "_parameters": ("parameter", "torch.nn.Parameter"),
            "_modules": ("child module", "torch.nn.Module"),
            "_buffers": ("buffer", "torch.nn.Buffer, torch.Tensor"),
        }[known]
        found = type(value)
        module = "" if found.__module__ == "builtins" else f"{found.__module__}."
        shown = module + found.__name__
        if found is Tensor:
            shown = f"torch.{value.dtype.kind}Tensor"
        raise TypeError(
            f"cannot assign '{shown}' as {what} '{name}' ({wanted} or None expected)"
        )

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__
        for kind in ("_parameters", "_modules", "_buffers"):
            if name in fields.get(kind, ()):
                return fields[kind][name]
        near = difflib.get_close_matches(name, dir(self), n=3, cutoff=0.6)
        hint = f"; near: {', '.join(near)}" if near and name[:2] != "__" else ""
        raise AttributeError(
            f"'{type(self).__name__}' object has no attribute '{name}'{hint}",
        )

    def __delattr__(self, name: str) -> None:
        for kind in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[kind]:
                del self.__dict__[kind][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        kinds = ("_parameters", "_modules", "_buffers")
        names = [name for kind in kinds for name in self.__dict__.get(kind, ())]
        return sorted({*object.__dir__(self), *names})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter (or None) under a name.

        Raises:
            KeyError: the name is empty, has a dot, or is that of something else.
            TypeError: it is no parameter.
        """
        self._require_initialised("_parameters")
        check_name(self, "_parameters", name)
        self.__dict__.pop(name, None)  # which is None
        if param is not None:
            check_parameter(name, param)
            param = registered("_parameters", self, name, param)
        self._parameters[name] = param

    def register_buffer(
        self, name: str, tensor: Tensor | None, persistent: bool = True
    ) -> None:
        """Add a tensor that is part of the state, but no parameter.

        >>> layer = nn.Module()
        >>> layer.register_buffer("count", torch.zeros(1))
        >>> layer.state_dict()
        OrderedDict([('count', tensor([0.]))])
        """
        self._require_initialised("_buffers")
        check_name(self, "_buffers", name)
        check_buffer(name, tensor)
        self._buffers[name] = registered("_buffers", self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under a name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        check_name(self, "_modules", name)
        self._modules[name] = registered("_modules", self, name, module)

    register_module = add_module

    def named_modules(
        self, memo: Any = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """The module itself and all modules in it, with dotted names."""
        seen = set() if memo is None else memo
        if remove_duplicate and self in seen:
            return
        seen.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                inner = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(seen, inner, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Any]:
        """The module itself and all modules in it."""
        found = self.named_modules(remove_duplicate=remove_duplicate)
        return (module for _, module in found)

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """The modules that are held directly, with names."""
        seen = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Any]:
        """The modules that are held directly."""
        return (child for _, child in self.named_children())

    def _named_members(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for place, module in modules:
            for name, value in module.__dict__[kind].items():
                if value is None or (remove_duplicate and id(value) in seen):
                    continue
                seen.add(id(value))
                yield (f"{place}.{name}" if place else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters, each once, with dotted names.

        >>> [name for name, _ in nn.Sequential(nn.Linear(2, 3)).named_parameters()]
        ['0.weight', '0.bias']
        """
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (value for _, value in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers, each once, with dotted names."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (value for _, value in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Any:
        """The module of a dotted name."""
        found: Any = self
        for name in target.split(".") if target else ():
            child = found._modules.get(name) if isinstance(found, Module) else None
            if child is None:
                raise AttributeError(
                    f"{type(found).__name__} has no attribute `{name}`"
                )
            found = child
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module in the place of a dotted name.

        Raises:
            ValueError: the name is empty.
            AttributeError: there is no place for it; with ``strict``, no module there.
        """
        if not target:
            raise ValueError("Cannot set the submodule without a target name!")
        if strict:
            self.get_submodule(target)
        place, _, name = target.rpartition(".")
        setattr(self.get_submodule(place), name, module)

    def get_parameter(self, target: str) -> Any:
        """The parameter of a dotted name."""
        place, _, name = target.rpartition(".")
        module = self.get_submodule(place)
        if name not in dir(module):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        return getattr(module, name)

    get_buffer = get_parameter

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call a function on all modules, children first.

        >>> zero = lambda module: nn.init.zeros_(module.weight)
        >>> nn.Linear(2, 1).apply(zero).weight.detach()
        tensor([[0., 0.]])
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the mode that dropout and batch norms look at."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        for module in self.modules():
            module.__dict__["training"] = mode
        return self

    def eval(self) -> Self:
        """As ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether operations on the parameters are recorded."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters, or set them to zero."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.detach_().zero_()

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The parameters and buffers under dotted names; they share memory."""
        return state.collect(self, destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Any, strict: bool = True, assign: bool = False
    ) -> Any:
        """Copy the tensors of a dictionary into this module.

        Raises:
            RuntimeError: keys are missing or unexpected (if ``strict``), or shapes
                differ.

        >>> nn.Linear(2, 1).load_state_dict(nn.Linear(2, 1).state_dict())
        <All keys matched successfully>
        """
        return state.load(self, state_dict, strict, assign)

    get_extra_state = state.get_extra_state
    set_extra_state = state.set_extra_state

    def extra_repr(self) -> str:
        """What `repr` shows in the parentheses; a subclass may define it."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): {indented(repr(child))}"
            for name, child in self._modules.items()
        ]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        body = "\n  ".join([*lines, *children])
        return f"{self._get_name()}(\n  {body}\n)"


_KINDS: list[tuple[type, str]] = [(Parameter, "_parameters"), (Module, "_modules")]


def indented(text: str) -> str:
    """A text whose lines but the first are indented."""
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line for line in rest)])
