"""Modules that hold modules or parameters in order, or under names."""

from __future__ import annotations

import itertools
import operator
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from fgrad.torch.nn.module import Module, indented
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.tensor import Tensor


def _place(index: int, length: int) -> int:
    place = operator.index(index)
    if not -length <= place < length:
        raise IndexError(f"index {place} is out of range")
    return place % length


CONTAINER = (
    "`nn.Container` is deprecated. All of its functionality is now implemented in "
    "`nn.Module`. Subclass that instead."
)


class Sequential(Module):
    """Modules that are called one after the other.

    Args:
        args: modules, or one ordered dictionary of them.

    >>> nn.Sequential(nn.Flatten(), nn.ReLU())(torch.tensor([[[-1.0], [2.0]]]))
    tensor([[0., 2.]])
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for number, module in enumerate(args):
                self.add_module(str(number), module)

    def forward(self, input: Any) -> Any:
        """The result of the last module."""
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input

    def __getitem__(self, idx: Any) -> Any:
        items = list(self._modules.items())
        if isinstance(idx, slice):
            return type(self)(dict(items[idx]))
        return items[_place(idx, len(items))][1]

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, list(self._modules)[_place(idx, len(self))], module)

    def __delitem__(self, idx: Any) -> None:
        names = list(self._modules)
        gone = names[idx] if isinstance(idx, slice) else [names[_place(idx, len(self))]]
        kept = [m for name, m in self._modules.items() if name not in gone]
        self.__dict__["_modules"] = {str(k): module for k, module in enumerate(kept)}

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, sequential: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in list(sequential):
            self.append(module)
        return self

    def pop(self, key: Any) -> Any:
        """Take a module out."""
        module = self[key]
        del self[key]
        return module

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before another one."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        self.__dict__["_modules"] = {str(k): each for k, each in enumerate(modules)}
        return self


class ModuleList(Module):
    """A list of modules, which are children of this one.

    >>> layers = nn.ModuleList([nn.Linear(2, 3), nn.ReLU()])
    >>> len(list(layers.parameters()))
    2
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, idx: Any) -> Any:
        modules = list(self._modules.values())
        if isinstance(idx, slice):
            return type(self)(modules[idx])  # type: ignore[arg-type]
        return modules[_place(idx, len(modules))]

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, str(_place(idx, len(self))), module)

    def __delitem__(self, idx: Any) -> None:
        modules = list(self._modules.values())
        del modules[idx]
        self.__dict__["_modules"] = {str(k): each for k, each in enumerate(modules)}

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Add a module before another one."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        self.__dict__["_modules"] = {str(k): each for k, each in enumerate(modules)}

    def pop(self, key: int) -> Any:
        """Take a module away."""
        found = self[key]
        del self[key]
        return found

    def __repr__(self) -> str:
        """Equal neighbours are shown once, with their number."""
        texts = [repr(module) for module in self]
        if not texts:
            return f"{self._get_name()}()"
        lines, place = [], 0
        for text, group in itertools.groupby(texts):
            count = len(list(group))
            if count == 1:
                lines.append(f"({place}): {text}")
            else:
                lines.append(f"({place}-{place + count - 1}): {count} x {text}")
            place += count
        body = "\n  ".join(map(indented, lines))
        return f"{self._get_name()}(\n  {body}\n)"


class ModuleDict(Module):
    """A dictionary of modules, which are children of this one.

    >>> layers = nn.ModuleDict({"last": nn.Linear(2, 3)})
    >>> layers["last"], [name for name, _ in layers.named_parameters()]
    (Linear(in_features=2, out_features=3, bias=True), ['last.weight', 'last.bias'])
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names and modules."""
        return self._modules.items()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def pop(self, key: str) -> Any:
        """Take a module away."""
        return self._modules.pop(key)

    def clear(self) -> None:
        """Take all modules away."""
        self._modules.clear()

    def update(self, modules: Any) -> None:
        """Add modules of another dictionary, or of pairs."""
        pairs = modules.items() if hasattr(modules, "items") else modules
        for name, module in pairs:
            self[name] = module


def _as_parameter(value: Any) -> Any:
    is_plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
    return Parameter(value) if is_plain else value


def _shown(value: Any) -> str:
    size = "x".join(map(str, value.shape))
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"{kind} containing: [torch.{value.dtype.name} of size {size}]"


class ParameterList(Module):
    """A list of parameters, which belong to this module.

    >>> list(nn.ParameterList([torch.ones(2)]).state_dict())
    ['0']
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        if values is not None:
            self.extend(values)

    def __getitem__(self, idx: Any) -> Any:
        values = list(self._parameters.values())
        if isinstance(idx, slice):
            return type(self)(values[idx])
        return values[_place(idx, len(values))]

    def __setitem__(self, idx: int, value: Any) -> None:
        setattr(self, str(_place(idx, len(self))), _as_parameter(value))

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(f"({k}): {_shown(value)}" for k, value in enumerate(self))

    def __repr__(self) -> str:
        return _parameters_shown(self)


class ParameterDict(Module):
    """A dictionary of parameters, which belong to this module.

    >>> list(nn.ParameterDict({"scale": torch.ones(2)}).state_dict())
    ['scale']
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return self._parameters[key]

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: str) -> bool:
        return key in self._parameters

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._parameters.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names and parameters."""
        return self._parameters.items()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return self._parameters.values()

    def get(self, key: str, default: Any = None) -> Any:
        """A parameter, or what is given."""
        return self._parameters.get(key, default)

    def pop(self, key: str) -> Any:
        """Take a parameter out."""
        return self._parameters.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """A parameter, which is added where it is not there."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, parameters: Any) -> None:
        """Add parameters of another dictionary, or of pairs."""
        pairs = parameters.items() if hasattr(parameters, "items") else parameters
        for name, value in pairs:
            self[name] = value

    def extra_repr(self) -> str:
        lines = []
        for key, value in self.items():
            size = "x".join(map(str, value.shape))
            kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
            text = f"{kind} containing: [{value.type()} of size {size}]"
            lines.append(f"  ({key}): {text}")
        return "\n".join(lines)


def _parameters_shown(module: Module) -> str:
    lines = module.extra_repr().split("\n")
    if lines == [""]:
        return f"{module._get_name()}()"
    body = "\n".join(f"    {line}" for line in lines)
    return f"{module._get_name()}(\n{body}\n)"


class Container(Module):
    """The older name of a module of modules.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     print(nn.Container(act=nn.ReLU()))
    Container(
      (act): ReLU()
    )
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        warnings.warn(CONTAINER, FutureWarning, stacklevel=2)
        for name, module in kwargs.items():
            self.add_module(name, module)
