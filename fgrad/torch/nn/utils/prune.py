"""``torch.nn.utils.prune``: masks on parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fgrad.torch.joining import cat
from fgrad.torch.likes import ones_like
from fgrad.torch.nn.utils.pruning import (
    BasePruningMethod,
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    PruningContainer,
    RandomStructured,
    RandomUnstructured,
    hooks_of,
)
from fgrad.torch.tensor import Tensor

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def __dir__() -> list[str]:
    return __all__


def identity(module: Any, name: str) -> Any:
    """Give a tensor a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: Any) -> Any:
    """Prune elements by chance: a number of them, or a share."""
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(
    module: Any, name: str, amount: Any, importance_scores: Any = None
) -> Any:
    """Prune the elements of the least magnitude: a number of them, or a share.

    >>> import fgrad.torch as torch
    >>> from fgrad.torch.nn.utils import prune
    >>> layer = torch.nn.Linear(4, 3)
    >>> layer = prune.l1_unstructured(layer, "weight", amount=0.5)
    >>> int(layer.weight_mask.sum()), [name for name, _ in layer.named_parameters()]
    (6, ['bias', 'weight_orig'])
    """
    scores = importance_scores
    L1Unstructured.apply(module, name, amount=amount, importance_scores=scores)
    return module


def random_structured(module: Any, name: str, amount: Any, dim: int) -> Any:
    """Prune slices along an axis by chance: a number of them, or a share."""
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(
    module: Any,
    name: str,
    amount: Any,
    n: Any,
    dim: int,
    importance_scores: Any = None,
) -> Any:
    """Prune the slices along an axis that have the least norms of order ``n``."""
    LnStructured.apply(
        module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores
    )
    return module


def custom_from_mask(module: Any, name: str, mask: Tensor) -> Any:
    """Prune what a mask has zeros for."""
    CustomFromMask.apply(module, name, mask=mask)
    return module


def global_unstructured(
    parameters: Any,
    pruning_method: Any,
    importance_scores: Any = None,
    **kwargs: Any,
) -> None:
    """Prune elements of several tensors, compared with each other.

    Args:
        parameters: pairs of modules and names.
        pruning_method: a class of an unstructured method.
        importance_scores: for pairs, by which elements are chosen.
        kwargs: what the method is made with.

    Raises:
        TypeError: the arguments, or the method, are of another kind.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    pairs: list[Any] = list(parameters)
    held: list[Any] = [getattr(*pair) for pair in pairs]
    known = [scores.get(pair, x) for pair, x in zip(pairs, held, strict=True)]
    masks = [
        getattr(module, f"{name}_mask", ones_like(x))
        for (module, name), x in zip(pairs, held, strict=True)
    ]
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found'
            f" method {pruning_method} of type {method.PRUNING_TYPE}"
        )
    container = PruningContainer(method)
    before: Any = cat([x.reshape(-1) for x in masks])
    mask = container.compute_mask(cat([x.reshape(-1) for x in known]), before)
    parts = mask.split([x.numel() for x in held])
    for (module, name), x, part in zip(pairs, held, parts, strict=True):
        custom_from_mask(module, name, part.view_as(x))


def remove(module: Any, name: str) -> Any:
    """Make a pruned tensor, as it is, the parameter again.

    Raises:
        ValueError: it was not pruned.
    """
    for key, hook in hooks_of(module, name).items():
        hook.remove(module)
        del module._forward_pre_hooks[key]
        return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be "
        "removed"
    )


def is_pruned(module: Any) -> bool:
    """Whether a tensor of a module, or of one in it, is pruned."""
    return any(hooks_of(each) for each in module.modules())
