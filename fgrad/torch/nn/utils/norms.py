"""``weight_norm`` and ``spectral_norm``: weights computed anew before each call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgrad.torch.modes import no_grad
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.random import randn
from fgrad.torch.tensor import make

DEPRECATED = (
    "`torch.nn.utils.weight_norm` is deprecated in favor of "
    "`torch.nn.utils.parametrizations.weight_norm`."
)
POWER_ITERATIONS = 15  # at the beginning


class _WeightNorm:
    """The hook that computes a weight from its length and its direction."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def lengths(self, weight: Any) -> Any:
        if self.dim is None:
            return weight.norm()
        axes = [k for k in range(weight.dim()) if k != self.dim % weight.dim()]
        return weight.norm(2, axes, True)

    def weight(self, module: Any) -> Any:
        lengths = getattr(module, f"{self.name}_g")
        direction = getattr(module, f"{self.name}_v")
        return direction * (lengths / self.lengths(direction))

    def __call__(self, module: Any, inputs: Any) -> None:
        object.__setattr__(module, self.name, self.weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """A weight as a length (``weight_g``) times a direction (``weight_v``).

    Salimans and Kingma, Weight normalization, 2016. It warns that it is deprecated.

    Args:
        module: it gets these parameters in place of the weight.
        name: the weight.
        dim: the axis along which there are several lengths; None for one.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     layer = nn.utils.weight_norm(nn.Linear(2, 3))
    >>> layer.weight_g.shape, layer.weight_v.shape
    (torch.Size([3, 1]), torch.Size([3, 2]))
    """
    warnings.warn(DEPRECATED, FutureWarning, stacklevel=2)
    hook = _WeightNorm(name, dim)
    weight = module._parameters.pop(name)
    with no_grad():
        lengths = hook.lengths(weight.detach())
    module.register_parameter(f"{name}_g", Parameter(lengths))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    object.__setattr__(module, name, hook.weight(module))
    _keep(module, hook, module.register_forward_pre_hook(hook))
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Make the weight a parameter again.

    Raises:
        ValueError: it has no weight norm.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     layer = nn.utils.weight_norm(nn.Linear(2, 3))
    >>> [name for name, _ in nn.utils.remove_weight_norm(layer).named_parameters()]
    ['bias', 'weight']
    """
    return _removed(module, name, _WeightNorm, "weight_norm", ("_g", "_v"))


class _SpectralNorm:
    """The hook that divides a weight by its largest singular value."""

    def __init__(self, name: str, count: int, eps: float, dim: int) -> None:
        self.name, self.count, self.eps, self.dim = name, count, eps, dim

    def matrix(self, weight: Any) -> Any:
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def iterate(self, module: Any, count: int) -> None:
        """Bring the singular vectors nearer, in place."""
        matrix = self.matrix(getattr(module, f"{self.name}_orig"))._array
        u = getattr(module, f"{self.name}_u")
        v = getattr(module, f"{self.name}_v")
        for _ in range(count):
            v.copy_(make(self._scaled(matrix.T @ u._array)))
            u.copy_(make(self._scaled(matrix @ v._array)))

    def _scaled(self, vector: Any) -> Any:
        return vector / max(float(np.linalg.norm(vector)), self.eps)

    def weight(self, module: Any) -> Any:
        original = getattr(module, f"{self.name}_orig")
        u = getattr(module, f"{self.name}_u").clone()
        v = getattr(module, f"{self.name}_v").clone()
        return original / (self.matrix(original) @ v).dot(u)

    def __call__(self, module: Any, inputs: Any) -> None:
        if module.training:
            with no_grad():
                self.iterate(module, self.count)
        object.__setattr__(module, self.name, self.weight(module))


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """A weight divided by its largest singular value.

    The vectors of that value are estimated by power iteration, better with each call in
    training (Miyato et al., Spectral normalization, 2018, algorithm 1).

    Args:
        module: it gets the parameter ``weight_orig`` in place of the weight.
        name: the weight.
        n_power_iterations: steps of the estimation at each call.
        eps: a bound below the norms that are divided by.
        dim: the axis of the outputs: 0, or 1 for transposed convolutions.

    >>> layer = nn.utils.spectral_norm(nn.Linear(2, 3), n_power_iterations=50)
    >>> _ = layer(torch.ones(1, 2))
    >>> torch.linalg.matrix_norm(layer.weight.detach(), 2).round(decimals=3)
    tensor(1.)
    """
    if dim is None:
        dim = int("ConvTranspose" in type(module).__name__)
    hook = _SpectralNorm(name, n_power_iterations, eps, dim)
    weight = module._parameters.pop(name)
    module.register_parameter(f"{name}_orig", Parameter(weight.detach()))
    rows, columns = hook.matrix(weight.detach()).shape
    for part, size in (("u", rows), ("v", columns)):
        drawn: Any = randn(size, dtype=weight.dtype)
        module.register_buffer(f"{name}_{part}", make(hook._scaled(drawn._array)))
    with no_grad():
        hook.iterate(module, POWER_ITERATIONS)
    object.__setattr__(module, name, hook.weight(module))
    _keep(module, hook, module.register_forward_pre_hook(hook))
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Make the weight, as it is, a parameter again.

    Raises:
        ValueError: it has no spectral norm.

    >>> layer = nn.utils.remove_spectral_norm(nn.utils.spectral_norm(nn.Linear(2, 3)))
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'weight']
    """
    parts = ("_orig", "_u", "_v")
    return _removed(module, name, _SpectralNorm, "spectral_norm", parts)


def _keep(module: Any, hook: Any, handle: Any) -> None:
    known = module.__dict__.setdefault("_norm_hooks", {})
    known[hook.name] = hook, handle


def _removed(
    module: Any, name: str, kind: Any, label: str, parts: tuple[str, ...]
) -> Any:
    hook, handle = module.__dict__.get("_norm_hooks", {}).get(name, (None, None))
    if not isinstance(hook, kind):
        raise ValueError(f"{label} of '{name}' not found in {module}")
    with no_grad():
        weight = hook.weight(module)
    handle.remove()
    del module._norm_hooks[name]
    module.__dict__.pop(name, None)
    for part in parts:
        module._parameters.pop(name + part, None)
        module._buffers.pop(name + part, None)
    module.register_parameter(name, Parameter(weight.detach()))
    return module
