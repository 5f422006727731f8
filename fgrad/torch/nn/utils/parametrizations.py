"""``torch.nn.utils.parametrizations``: lengths, singular values, orthogonality."""

from __future__ import annotations

from typing import Any

from fgrad.torch.arithmetic import add
from fgrad.torch.creation import eye
from fgrad.torch.decompositions import matrix_exp
from fgrad.torch.joining import cat
from fgrad.torch.lengths import norm_except_dim, scaled_to
from fgrad.torch.likes import zeros_like
from fgrad.torch.limits import finfo
from fgrad.torch.linalg import solve
from fgrad.torch.modes import no_grad
from fgrad.torch.nn import functional as F
from fgrad.torch.nn.convolution import ConvTransposeNd
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.utils.parametrize import register_parametrization
from fgrad.torch.random import randn
from fgrad.torch.reflections import geqrf, householder_product
from fgrad.torch.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def __dir__() -> list[str]:
    return __all__


MAPS = ("matrix_exp", "cayley", "householder")
POWER_ITERATIONS = 15  # at the beginning


class _WeightNorm(Module):
    """A tensor as lengths times directions."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        return scaled_to(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> Any:
        """The lengths of a weight, and itself for the directions."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """A weight as lengths (``original0``) times directions (``original1``).

    Args:
        module: what has the weight.
        name: the weight's name.
        dim: the axis along which there are several lengths; None for one.

    Returns:
        The module. It loads the states of the older `fgrad.torch.nn.utils.weight_norm`.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def take_older(state: Any, prefix: str, *rest: Any) -> None:
        older = [f"{prefix}{name}_{part}" for part in "gv"]
        if all(key in state for key in older):
            for k, key in enumerate(older):
                new = f"{prefix}parametrizations.{name}.original{k}"
                state[new] = state.pop(key)

    module._register_load_state_dict_pre_hook(take_older)
    return module


class _SpectralNorm(Module):
    """A tensor divided by its largest singular value, which is estimated."""

    _u: Any
    _v: Any

    def __init__(
        self,
        weight: Any,
        n_power_iterations: int = 1,
        dim: int = 0,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        ndim = weight.dim()
        if not -ndim <= dim < ndim:
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps = dim % ndim, eps
        if ndim == 1:
            return
        self.n_power_iterations = n_power_iterations
        matrix = self._matrix(weight)
        for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
            drawn = randn(size, dtype=weight.dtype)
            self.register_buffer(name, F.normalize(drawn, dim=0, eps=eps))
        self._iterate(matrix, POWER_ITERATIONS)

    def _matrix(self, weight: Any) -> Any:
        return weight.movedim(self.dim, 0).flatten(1)

    def _iterate(self, matrix: Any, count: int) -> None:
        """Bring the singular vectors nearer, in place."""
        with no_grad():
            for _ in range(count):
                self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.mT @ self._u, dim=0, eps=self.eps))

    def forward(self, weight: Any) -> Any:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Any) -> Any:
        """The value itself: it may be any."""
        return value


def _tensor_of(module: Any, name: str) -> Any:
    found = getattr(module, name, None)
    if not isinstance(found, Tensor):
        raise ValueError(
            f"Module '{module}' has no parameter or buffer with name '{name}'"
        )
    return found


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """A weight divided by its largest singular value.

    The vectors of that value are estimated, better with each use in training.

    Args:
        module: what has the weight.
        name: the weight's name.
        n_power_iterations: steps of the estimation at each use.
        eps: a bound below the norms that are divided by.
        dim: the axis of the outputs: 0, or 1 for transposed convolutions.

    Raises:
        ValueError: there is no such tensor.
    """
    weight = _tensor_of(module, name)
    axis = int(isinstance(module, ConvTransposeNd)) if dim is None else dim
    norm = _SpectralNorm(weight, n_power_iterations, axis, eps)
    register_parametrization(module, name, norm)
    return module


class _Orthogonal(Module):
    """A matrix with orthogonal columns, or rows, of any matrix of that shape.

    Args:
        weight: the matrix at the beginning.
        orthogonal_map: how a matrix gives an orthogonal one.
        use_trivialization: multiply it by a fixed one, ``base``, so that any
            orthogonal matrix can be assigned; M. Lezcano Casado, Trivializations for
            gradient-based optimization on manifolds, 2019.
    """

    base: Any

    def __init__(
        self, weight: Any, orthogonal_map: str, *, use_trivialization: bool = True
    ) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError(
                "The householder parametrization does not support complex tensors."
            )
        self.shape, self.orthogonal_map = weight.shape, orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:
        is_wide = X.size(-2) < X.size(-1)
        tall = X.mT if is_wide else X
        if self.orthogonal_map == "householder":
            Q = self._by_reflections(tall)
        else:
            Q = self._by_map(tall)
        if hasattr(self, "base"):
            Q = self.base @ Q
        return Q.mT if is_wide else Q

    @staticmethod
    def _by_reflections(X: Any) -> Any:
        A = X.tril(-1)
        tau = 2.0 / (1.0 + (A * A).sum(-2))
        signs = X.diagonal(0, -2, -1).int().unsqueeze(-2)
        return householder_product(A, tau) * signs

    def _by_map(self, X: Any) -> Any:
        n, k = X.size(-2), X.size(-1)
        X = X.tril()
        if n != k:
            X = cat([X, X.new_zeros(*X.shape[:-1], n - k)], -1)
        A: Any = X - X.mH
        if self.orthogonal_map == "matrix_exp":
            return matrix_exp(A)[..., :k] if n != k else matrix_exp(A)  # type: ignore[index]
        identity = eye(n, dtype=A.dtype)
        Q: Any = solve(add(identity, A, alpha=-0.5), add(identity, A, alpha=0.5))
        return Q[..., :k] if n != k else Q

    def right_inverse(self, Q: Any) -> Any:
        """What gives an orthogonal matrix.

        Raises:
            ValueError: it has another shape.
            NotImplementedError: the map has no inverse without a base.
        """
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a "
                f"tensor of shape {Q.shape}."
            )
        is_wide = Q.size(-2) < Q.size(-1)
        tall = Q.detach().mT if is_wide else Q.detach()
        if hasattr(self, "base"):
            self.base = _completed(tall)
            found: Any = zeros_like(Q)
            found.diagonal(0, -2, -1).fill_(-1.0)
            return found
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley "
                "parametrizations when use_trivialization=False."
            )
        A, tau = geqrf(tall)
        diagonal: Any = A.diagonal(0, -2, -1)
        diagonal.sign_()
        diagonal[tau == 0.0] *= -1
        return A.mT if is_wide else A


def _completed(Q: Any) -> Any:
    """A square orthogonal matrix that begins with the columns of a tall one."""
    n, k = Q.size(-2), Q.size(-1)
    if n == k and _is_orthogonal(Q):
        return Q.clone()
    more: Any = randn(*Q.shape[:-1], n - k, dtype=Q.dtype)
    A, tau = geqrf(Q if n == k else cat([Q, more], -1))
    signs = A.diagonal(0, -2, -1).sgn().unsqueeze(-2)
    return householder_product(A, tau) * signs


def _is_orthogonal(Q: Any) -> bool:
    n, k = Q.size(-2), Q.size(-1)
    tolerance = 10.0 * n * finfo(Q.dtype).eps
    identity = eye(k, dtype=Q.dtype)
    return (Q.mH @ Q).allclose(identity, atol=tolerance)  # type: ignore[no-any-return]


def orthogonal(
    module: Any,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Any:
    """A weight with orthogonal columns, or rows where there are fewer of these.

    Args:
        module: what has the weight.
        name: the weight's name.
        orthogonal_map: ``"matrix_exp"``, ``"cayley"`` or ``"householder"``; by default
            the first for square matrices and the last for others.
        use_trivialization: have orthogonal matrices be assignable with any map.

    Raises:
        ValueError: there is no such tensor, or no such map.

    >>> import fgrad.torch as torch
    >>> from fgrad.torch.nn.utils import parametrizations
    >>> layer = parametrizations.orthogonal(torch.nn.Linear(3, 2))
    >>> torch.allclose(layer.weight @ layer.weight.mT, torch.eye(2), atol=1e-6)
    True
    """
    weight = _tensor_of(module, name)
    if weight.dim() < 2:
        raise ValueError(
            "Expected a matrix or batch of matrices. Got a tensor of "
            f"{weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        is_square = weight.size(-2) == weight.size(-1)
        is_general = not is_square and not weight.is_complex()
        orthogonal_map = "householder" if is_general else "matrix_exp"
    if orthogonal_map not in MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    found = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    register_parametrization(module, name, found, unsafe=True)
    return module
