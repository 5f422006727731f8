"""``torch.nn.utils.parametrize``: parameters that modules compute from others.

A parametrised module gets a class of its own, of which the tensor is a property: to
read it runs the parametrisations, to assign to it runs their inverses.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fgrad.torch.modes import no_grad
from fgrad.torch.nn.containers import ModuleDict, ModuleList
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]


def __dir__() -> list[str]:
    return __all__


NOT_PICKLED = (
    "Serialization of parametrized modules is only supported through state_dict(). See:"
    "\nhttps://pytorch.org/tutorials/beginner/saving_loading_models.html"
    "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
)
CHANGED = (
    "Registering a parametrization may not change the {0} of the tensor, unless {4}"
    "`unsafe` flag is enabled.\n{1}{0}: {2}\n{3}{0}: {5}"
)


class _Cache:
    """Results of parametrisations, while a block of `cached` runs."""

    depth = 0
    results: dict[tuple[int, str], Any] = {}  # noqa: RUF012  # one for all


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrised tensor once in a block.

    >>> import fgrad.torch as torch
    >>> from fgrad.torch.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(torch.nn.Linear(2, 2))
    >>> with parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """
    _Cache.depth += 1
    try:
        yield
    finally:
        _Cache.depth -= 1
        if not _Cache.depth:
            _Cache.results = {}


def _inverse(modules: Sequence[Any], value: Any, is_optional: bool) -> Any:
    """What parametrisations compute a value from, by their ``right_inverse``.

    Raises:
        RuntimeError: one has none, and not ``is_optional``.
    """
    for module in reversed(modules):
        if not hasattr(module, "right_inverse"):
            if is_optional:
                continue
            raise RuntimeError(
                f"parametrization {type(module).__name__} does not implement "
                "right_inverse."
            )
        try:
            value = module.right_inverse(value)
        except NotImplementedError:
            if not is_optional:
                raise
    return value


def _share(target: Tensor, source: Tensor) -> None:
    """Have a tensor hold the memory of another one."""
    if target is not source:
        target.data = source.detach()


def _register(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, and what it is computed from.

    Args:
        modules: the parametrisations, the first to run first.
        original: the tensor; it keeps its identity, so that optimisers know it.
        unsafe: allow that dtype and shape change.

    Attributes:
        original: what the first parametrisation is called with; ``original0``,
            ``original1``, ... where its inverse gives several tensors.
    """

    def __init__(
        self, modules: Sequence[Module], original: Tensor, unsafe: bool = False
    ) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with no_grad():
            new: Any = _inverse(list(self), original, is_optional=True)
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1
        if isinstance(new, Tensor):
            self._begin_with(original, new)
        elif isinstance(new, Sequence):
            self.ntensors = len(new)
            self._begin_with_several(original, new)
        else:
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, "
                f"tuple...). Got {type(new).__name__}"
            )
        if not unsafe:
            _check_unchanged("unparametrized ", (dtype, shape), "parametrized ", self())

    def _begin_with(self, original: Tensor, new: Tensor) -> None:
        if original.dtype is not new.dtype:
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the dtype."
                f"\noriginal.dtype: {original.dtype}\n"
                f"right_inverse(original).dtype: {new.dtype}"
            )
        with no_grad():
            _share(original, new)
        _register(self, "original", original)

    def _begin_with_several(self, original: Tensor, new: Sequence[Any]) -> None:
        for k, value in enumerate(new):
            if not isinstance(value, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors "
                    f"(list, tuple...). Got element {k} of the sequence with type "
                    f"{type(value).__name__}."
                )
            own = value
            if isinstance(original, Parameter):
                own = Parameter(value, original.requires_grad)
            own.requires_grad_(original.requires_grad)
            _register(self, f"original{k}", own)

    def _originals(self) -> list[Any]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{k}") for k in range(self.ntensors)]

    def right_inverse(self, value: Any) -> None:
        """Set the originals to what gives a value.

        Raises:
            RuntimeError: a parametrisation has no ``right_inverse``.
            ValueError: it gives other types, or not as many tensors.
        """
        with no_grad():
            found = _inverse(list(self), value, is_optional=False)
            parts = [found] if self.is_tensor else found
            self._check_parts(found, parts)
            for known, part in zip(self._originals(), parts, strict=True):
                _share(known, part)

    def _check_parts(self, found: Any, parts: Any) -> None:
        if self.is_tensor and not isinstance(found, Tensor):
            raise ValueError(
                f"`right_inverse` should return a tensor. Got {type(found).__name__}"
            )
        if not isinstance(parts, Sequence):
            raise ValueError(
                "'right_inverse' must return a sequence of tensors. Got "
                f"{type(parts).__name__}."
            )
        if len(parts) != self.ntensors:
            raise ValueError(
                "'right_inverse' must return a sequence of tensors of length "
                f"{self.ntensors}. Got a sequence of length {len(parts)}."
            )
        for k, (known, part) in enumerate(zip(self._originals(), parts, strict=True)):
            if part.dtype is known.dtype:
                continue
            which = ("The tensor", "") if self.is_tensor else (f"Tensor {k}", str(k))
            raise ValueError(
                f"{which[0]} returned by `right_inverse` has dtype {part.dtype} while "
                f"`original{which[1]}` has dtype {known.dtype}"
            )

    def forward(self) -> Any:
        """The parametrised tensor."""
        first, *rest = self
        value = first(*self._originals())
        for module in rest:
            value = module(value)
        return value


def _check_unchanged(
    before: str, known: tuple[Any, Any], after: str, found: Any, article: str = ""
) -> None:
    if not isinstance(found, Tensor):
        raise ValueError(
            f"A parametrization must return a tensor. Got {type(found).__name__}."
        )
    for what, old, new in zip(
        ("dtype", "shape"), known, (found.dtype, found.shape), strict=True
    ):
        if old != new:
            raise ValueError(CHANGED.format(what, before, old, after, article, new))


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrisations, or a tensor of it has."""
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def type_before_parametrizations(module: Any) -> type:
    """The class of a module, without that of its parametrisations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def _deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    copied = object.__new__(type(self))
    memo[id(self)] = copied
    copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return copied


def _refuse_pickle(self: Any) -> Any:
    raise RuntimeError(NOT_PICKLED)


def _give_class(module: Any) -> None:
    """Give a module a class of its own, which properties can be added to."""
    cls = type(module)
    fields: dict[str, Any] = {"__getstate__": _refuse_pickle}
    if not hasattr(cls, "__deepcopy__"):
        fields["__deepcopy__"] = _deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), fields)


def _give_property(module: Any, name: str) -> None:
    def read(self: Any) -> Any:
        if not _Cache.depth:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _Cache.results:
            _Cache.results[key] = self.parametrizations[name]()
        return _Cache.results[key]

    def write(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(read, write))


def register_parametrization(
    module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Any:
    """Have a tensor of a module computed by another module.

    Args:
        module: what has the tensor.
        tensor_name: that of a parameter, a buffer or of what is parametrised already.
        parametrization: called with the tensor, or with what its ``right_inverse``
            gives for it.
        unsafe: allow that dtype and shape change.

    Returns:
        The module, whose class is another one now.

    Raises:
        ValueError: it has no such tensor, or the parametrisation does not fit.

    >>> import fgrad.torch as torch
    >>> from fgrad.torch.nn.utils import parametrize
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).mT
    >>> layer = torch.nn.Linear(3, 3)
    >>> layer = parametrize.register_parametrization(layer, "weight", Symmetric())
    >>> torch.equal(layer.weight, layer.weight.mT)
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        _add(module, tensor_name, parametrization, unsafe)
        return module
    if tensor_name not in {**module._buffers, **module._parameters}:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized "
            f"element with name '{tensor_name}'"
        )
    original = getattr(module, tensor_name)
    found = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _give_class(module)
        module.parametrizations = ModuleDict()
    _give_property(module, tensor_name)
    module.parametrizations[tensor_name] = found
    return module


def _add(module: Any, name: str, parametrization: Any, unsafe: bool) -> None:
    if not unsafe:
        known = getattr(module, name)
        types = (known.dtype, known.shape)
        found, label = parametrization(known), f"parametrization(module.{name})."
        _check_unchanged(f"module.{name}.", types, label, found, "the ")
    module.parametrizations[name].append(parametrization)
    module.parametrizations[name].unsafe |= unsafe


def remove_parametrizations(
    module: Any, tensor_name: str, leave_parametrized: bool = True
) -> Any:
    """Make a parametrised tensor a parameter, or a buffer, again.

    Args:
        module: what has the tensor.
        tensor_name: its name.
        leave_parametrized: keep its value; else it becomes the original again.

    Raises:
        ValueError: it is not parametrised, or there are several originals to leave.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"Module {module} does not have a parametrization on {tensor_name}"
        )
    parametrizations = module.parametrizations[tensor_name]
    if not leave_parametrized and not parametrizations.is_tensor:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    if parametrizations.is_tensor:
        original = parametrizations.original
        if leave_parametrized:
            with no_grad():
                _share(original, getattr(module, tensor_name))
    else:
        value = getattr(module, tensor_name)
        original = Parameter(value) if value.requires_grad else value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module
