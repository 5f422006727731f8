"""Modules as functions of their parameters: `functional_call`, `stack_module_state`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fgrad.torch.joining import stack
from fgrad.torch.tensor import Tensor


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: Any = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other tensors in place of its parameters and buffers.

    Args:
        module: the module.
        parameter_and_buffer_dicts: the tensors by name, or several such dicts.
        args: the positional arguments: a tuple, or the only one.
        kwargs: the named ones.
        tie_weights: a tensor that the module has under several names is replaced under
            all of them.
        strict: raise unless the names are exactly those of the module.

    Raises:
        ValueError: a name is in several dicts.
        RuntimeError: names are missing or unknown, and ``strict`` is set.

    >>> layer, weight = nn.Linear(2, 1, bias=False), torch.tensor([[1.0, 10.0]])
    >>> torch.func.functional_call(layer, {"weight": weight}, torch.ones(2))
    tensor([11.])
    """
    merged = _merged(parameter_and_buffer_dicts)
    known = _tensors(module)
    if strict:
        _check_names(module, merged, known)
    if tie_weights:
        merged = _with_tied(merged, known)
    inputs = args if isinstance(args, tuple) else () if args is None else (args,)
    with _replaced(module, merged):
        return module(*inputs, **(kwargs or {}))


def _merged(given: Any) -> dict[str, Any]:
    if isinstance(given, dict):
        return dict(given)
    if not isinstance(given, Sequence):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of "
            f"dicts, but got {type(given)}"
        )
    merged: dict[str, Any] = {}
    for each in given:
        repeated = [name for name in each if name in merged]
        if repeated:
            raise ValueError(
                f"{repeated} appeared in multiple dictionaries; behavior of functional "
                "call is ambiguous"
            )
        merged |= each
    return merged


def _tensors(module: Any) -> dict[str, Any]:
    """All parameters and buffers, under all of their names."""
    found: dict[str, Any] = {}
    for place, owner in module.named_modules(remove_duplicate=False):
        for fields in (owner._parameters, owner._buffers):
            for name, value in fields.items():
                if value is not None:
                    found[f"{place}.{name}" if place else name] = value
    return found


def _check_names(module: Any, given: dict[str, Any], known: dict[str, Any]) -> None:
    unknown = sorted(set(given) - set(known))
    missing = sorted(set(known) - set(given))
    if not unknown and not missing:
        return
    text = f"Error(s) in reparametrizing for {type(module).__name__}:"
    for what, names in (("Unexpected", unknown), ("Missing", missing)):
        if names:
            text += f"\n\t{what} key(s): {', '.join(map(repr, names))}."
    raise RuntimeError(text)


def _with_tied(given: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    by_tensor = {id(known[name]): x for name, x in given.items() if name in known}
    tied = {name: by_tensor[id(x)] for name, x in known.items() if id(x) in by_tensor}
    return {**tied, **given}


@contextmanager
def _replaced(module: Any, tensors: dict[str, Any]) -> Iterator[None]:
    places = []
    for name, value in tensors.items():
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"{value!r} is not an instance of torch.Tensor")
        place, _, last = name.rpartition(".")
        owner = module.get_submodule(place)
        for fields in (owner._parameters, owner._buffers):
            if last in fields:
                places.append((fields, last, fields[last], value))
    try:
        for fields, last, _, value in places:
            fields[last] = value
        yield
    finally:
        for fields, last, before, _ in places:
            fields[last] = before


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of modules of one kind, each stacked.

    Raises:
        RuntimeError: there are no modules, or they are of different classes or modes.

    >>> models = [nn.Linear(2, 1) for _ in range(3)]
    >>> params, buffers = torch.func.stack_module_state(models)
    >>> params["weight"].shape
    torch.Size([3, 1, 2])
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval "
            "mode."
        )
    if len({type(model) for model in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to be of the same class."
        )
    parameters = {
        name: _stacked([dict(model.named_parameters())[name] for model in models])
        for name, _ in models[0].named_parameters()
    }
    buffers = {
        name: _stacked([dict(model.named_buffers())[name] for model in models])
        for name, _ in models[0].named_buffers()
    }
    return parameters, buffers


def _stacked(tensors: list[Any]) -> Tensor:
    """The tensors stacked; a leaf where all of them are."""
    requires = tensors[0].requires_grad
    return stack([x.detach() for x in tensors]).requires_grad_(requires)
