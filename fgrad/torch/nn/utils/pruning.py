"""Methods of pruning: masks on parameters.

A pruned parameter ``weight`` is held as ``weight_orig`` with a mask, the buffer
``weight_mask``; their product is computed before each call of the module.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from typing import Any

from fgrad.torch.likes import ones_like, rand_like, zeros_like
from fgrad.torch.random import rand


def _check_amount(amount: Any) -> Any:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    is_count = isinstance(amount, numbers.Integral)
    if not 0 <= float(amount) <= (math.inf if is_count else 1):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a "
            "non-negative integer"
        )
    return amount


def _count(amount: Any, size: int) -> int:
    """How many of ``size`` an amount is: a number of them, or a share."""
    is_count = isinstance(amount, numbers.Integral)
    count = int(amount) if is_count else round(amount * size)
    if count > size:
        raise ValueError(
            f"amount={count} should be smaller than the number of parameters to "
            f"prune={size}"
        )
    return count


def _check_axis(t: Any, dim: int) -> None:
    if t.dim() <= 1:
        raise ValueError(
            "Structured pruning can only be applied to multidimensional tensors. Found "
            f"tensor of shape {t.shape} with {t.dim()} dims"
        )
    if dim >= t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


def _slices(ndim: int, dim: int, chosen: Any) -> tuple[Any, ...]:
    index: list[Any] = [slice(None)] * ndim
    index[dim] = chosen
    return tuple(index)


def hooks_of(module: Any, name: str | None = None) -> dict[int, Any]:
    """The pruning methods of a module, or of one of its tensors."""
    return {
        key: hook
        for key, (hook, _) in module._forward_pre_hooks.items()
        if isinstance(hook, BasePruningMethod) and name in (None, hook._tensor_name)
    }


class BasePruningMethod:
    """The base of pruning methods.

    A subclass sets ``PRUNING_TYPE`` (``"unstructured"``, ``"structured"`` with an
    attribute ``dim``, or ``"global"``) and defines `compute_mask`.
    """

    PRUNING_TYPE: str
    _tensor_name: str | None = None

    def __call__(self, module: Any, inputs: Any) -> None:
        """Compute the pruned tensor: a hook before each call of the module."""
        setattr(module, str(self._tensor_name), self.apply_mask(module))

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask of a tensor of importances; a subclass defines it.

        Args:
            t: the importances of the elements.
            default_mask: the mask so far, of the same shape.
        """
        raise NotImplementedError

    def apply_mask(self, module: Any) -> Any:
        """The product of mask and original."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        mask = getattr(module, f"{self._tensor_name}_mask")
        original = getattr(module, f"{self._tensor_name}_orig")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls,
        module: Any,
        name: str,
        *args: Any,
        importance_scores: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Prune a tensor of a module, on top of what was pruned of it before.

        Args:
            module: what has the tensor.
            name: the tensor's name.
            args: what the method is made with.
            importance_scores: by which elements are chosen; the tensor by default.
            kwargs: what the method is made with.
        """
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        known = hooks_of(module, name)
        for old in known.values():
            container = old if isinstance(old, PruningContainer) else None
            container = container or PruningContainer(old)
            container.add_pruning_method(method)
            method = container
        original = getattr(module, name)
        scores = original if importance_scores is None else importance_scores
        if scores.shape != original.shape:
            raise AssertionError(
                "importance_scores should have the same shape as parameter "
                f"{name} of {module}, got {scores.shape} vs {original.shape}"
            )
        before = getattr(module, f"{name}_mask", None)
        before = ones_like(original) if before is None else before.detach().clone()
        mask = method.compute_mask(scores, default_mask=before)
        for key in known:
            del module._forward_pre_hooks[key]
        if not known:
            module.register_parameter(f"{name}_orig", original)
            del module._parameters[name]
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None):  # type: ignore[no-untyped-def]
        """A tensor pruned, without a module."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError(
                "importance_scores should have the same shape as tensor t, got "
                f"{scores.shape} vs {t.shape}"
            )
        before = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=before)

    def remove(self, module: Any) -> None:
        """Make the pruned tensor, as it is, the parameter again."""
        name = self._tensor_name
        if name is None:
            raise AssertionError(
                f"Module {module} has to be pruned before pruning can be removed"
            )
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(f"{name}_orig")
        original.data = weight.data
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Several methods on one tensor: each prunes what those before it left."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method for the same tensor.

        Raises:
            TypeError: it is no pruning method.
            ValueError: it is of another tensor.
        """
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found "
                f"'{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pruning_methods)

    def __getitem__(self, index: Any) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The last method's mask of what is left, within the mask so far."""
        method = self._pruning_methods[-1]
        left = self._left(method, t, default_mask)
        mask = default_mask.to(t.dtype)
        part = method.compute_mask(t[left], default_mask=default_mask[left])
        mask[left] = part.to(mask.dtype)
        return mask

    @staticmethod
    def _left(method: Any, t: Any, mask: Any) -> Any:
        """The index of what a method may prune."""
        kind, ndim = method.PRUNING_TYPE, t.dim()
        if kind == "unstructured":
            return mask == 1
        if kind == "global":
            return (slice(None),) * ndim
        if kind != "structured":
            raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")
        if not hasattr(method, "dim"):
            raise AttributeError(
                'Pruning methods of PRUNING_TYPE "structured" need to have the '
                "attribute `dim` defined."
            )
        dim = method.dim + ndim if method.dim < 0 else method.dim
        if dim < 0:
            raise IndexError(
                f"Index is out of bounds for tensor with dimensions {ndim}"
            )
        kept = mask.sum(dim=[axis for axis in range(ndim) if axis != dim]) != 0
        return _slices(ndim, dim, kept)


class Identity(BasePruningMethod):
    """Prunes nothing; the mask is there."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask as it is."""
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes elements by chance: a number of them, or a share."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: Any) -> None:
        self.amount = _check_amount(amount)

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without as many elements."""
        return _without(default_mask, rand_like(t), _count(self.amount, t.numel()))


class L1Unstructured(BasePruningMethod):
    """Prunes the elements of the least magnitude: a number of them, or a share."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: Any) -> None:
        self.amount = _check_amount(amount)

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without as many elements."""
        return _without(default_mask, t.abs(), _count(self.amount, t.numel()))


def _without(mask: Any, scores: Any, count: int) -> Any:
    """A mask without the elements of the lowest scores."""
    mask = mask.clone()
    if count:
        lowest = scores.detach().view(-1).topk(count, largest=False).indices
        mask.view(-1)[lowest] = 0
    return mask


class RandomStructured(BasePruningMethod):
    """Prunes slices along an axis by chance: a number of them, or a share."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        self.amount, self.dim = _check_amount(amount), dim

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without as many slices."""
        _check_axis(t, self.dim)
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        scores: Any = rand(size)
        return _with_slices(t, default_mask, self.dim, scores, size - count)


class LnStructured(BasePruningMethod):
    """Prunes the slices along an axis that have the least norms of an order."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        self.amount, self.n, self.dim = _check_amount(amount), n, dim

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without as many slices."""
        _check_axis(t, self.dim)
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        axes = list(range(t.dim()))
        del axes[self.dim]
        norms = t.detach().norm(self.n, axes)
        return _with_slices(t, default_mask, self.dim, norms, size - count)


def _with_slices(t: Any, mask: Any, dim: int, scores: Any, count: int) -> Any:
    """A mask with only the slices of the highest scores."""
    if count == len(scores):
        return mask
    kept: Any = zeros_like(t)
    kept[_slices(t.dim(), dim, scores.topk(count).indices)] = 1
    return kept * mask.to(kept.dtype)


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask has zeros for."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The product of both masks."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape "
                f"{self.mask.shape}"
            )
        return default_mask * self.mask.to(default_mask.dtype)
