"""What all transforms share, and those that are made of others."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from fgrad.torch.distributions import constraints

FEW = "Too few dimensions on input"


def sum_rightmost(value: Any, ndim: int) -> Any:
    """The sum over so many of the last axes."""
    if ndim == 0:
        return value
    return value.reshape((*value.shape[:-ndim], -1)).sum(-1)


class Transform:
    """A map of numbers, vectors or matrices, and the logarithm of its Jacobian.

    A subclass defines ``_call``, and ``_inverse`` and ``log_abs_det_jacobian`` where
    there are such.

    Args:
        cache_size: 1 to remember the last argument and its image, 0 not to.

    Attributes:
        domain: what arguments must be.
        codomain: what images are.
        bijective: whether there is an inverse for all of the codomain.

    Raises:
        ValueError: ``cache_size`` is another number.

    >>> class Doubled(torch.distributions.Transform):
    ...     def _call(self, x):
    ...         return 2 * x
    ...     def _inverse(self, y):
    ...         return y / 2
    >>> Doubled().inv(Doubled()(torch.tensor(3.0)))
    tensor(3.)
    """

    bijective: Any = False
    domain: Any
    codomain: Any

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        self._inv: Any = None
        self._cached: tuple[Any, Any] = (None, None)

    @property
    def event_dim(self) -> Any:
        """How many axes an argument and its image have, where that is the same."""
        if self.domain.event_dim == self.codomain.event_dim:
            return self.domain.event_dim
        raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")

    @property
    def inv(self) -> Any:
        """The inverse transform."""
        if self._inv is None:
            self._inv = _InverseTransform(self)
        return self._inv

    @property
    def sign(self) -> Any:
        """1 where the transform rises, -1 where it falls."""
        raise NotImplementedError

    def with_cache(self, cache_size: int = 1) -> Any:
        """The same transform with another cache."""
        if self._cache_size == cache_size:
            return self
        if type(self).__init__ is Transform.__init__:
            return type(self)(cache_size=cache_size)
        raise NotImplementedError(f"{type(self)}.with_cache is not implemented")

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, x: Any) -> Any:
        """The image of an argument."""
        if self._cache_size and x is self._cached[0]:
            return self._cached[1]
        y = self._call(x)
        self._remember(x, y)
        return y

    def inverse_of(self, y: Any) -> Any:
        """The argument of an image: what the inverse transform gives."""
        if self._cache_size and y is self._cached[1]:
            return self._cached[0]
        x = self._inverse(y)
        self._remember(x, y)
        return x

    def _remember(self, x: Any, y: Any) -> None:
        if self._cache_size:
            self._cached = (x, y)

    def _call(self, x: Any) -> Any:
        raise NotImplementedError

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """``log |det dy / dx|`` at an argument and its image."""
        raise NotImplementedError

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the image of a tensor of a shape."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the argument with an image of a shape."""
        return shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _InverseTransform(Transform):
    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._inv = transform

    @constraints.dependent_property(is_discrete=False)
    def domain(self) -> Any:
        return self._inv.codomain

    @constraints.dependent_property(is_discrete=False)
    def codomain(self) -> Any:
        return self._inv.domain

    @property
    def bijective(self) -> Any:
        return self._inv.bijective

    @property
    def sign(self) -> Any:
        return self._inv.sign

    @property
    def inv(self) -> Any:
        return self._inv

    def with_cache(self, cache_size: int = 1) -> Any:
        return self._inv.with_cache(cache_size).inv

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _InverseTransform) and self._inv == other._inv

    __hash__ = None

    def __call__(self, x: Any) -> Any:
        return self._inv.inverse_of(x)

    def inverse_of(self, y: Any) -> Any:
        return self._inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._inv.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._inv.forward_shape(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._inv!r})"


def _widened(parts: list[Any], inner: str, outer: str) -> Any:
    """The domain of the first part for the events of all of them."""
    if not parts:
        return constraints.real
    found = getattr(parts[0], inner)
    ndim = getattr(parts[-1], outer).event_dim
    for part in reversed(parts):
        own = getattr(part, inner).event_dim
        ndim = max(ndim + own - getattr(part, outer).event_dim, own)
    more = ndim - found.event_dim
    return constraints.independent(found, more) if more else found


class ComposeTransform(Transform):
    """Transforms one after the other.

    >>> D = torch.distributions
    >>> D.ComposeTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)])(
    ...     torch.tensor(0.0)
    ... )
    tensor(3.)
    """

    def __init__(self, parts: list[Any], cache_size: int = 0) -> None:
        if cache_size:
            parts = [part.with_cache(cache_size) for part in parts]
        super().__init__(cache_size)
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    __hash__ = None

    @constraints.dependent_property(is_discrete=False)
    def domain(self) -> Any:
        return _widened(self.parts, "domain", "codomain")

    @constraints.dependent_property(is_discrete=False)
    def codomain(self) -> Any:
        return _widened(self.parts[::-1], "codomain", "domain")

    @cached_property
    def bijective(self) -> Any:
        return all(part.bijective for part in self.parts)

    @cached_property
    def sign(self) -> Any:
        sign: Any = 1
        for part in self.parts:
            sign = sign * part.sign
        return sign

    @property
    def inv(self) -> Any:
        if self._inv is None:
            self._inv = ComposeTransform([part.inv for part in self.parts[::-1]])
            self._inv._inv = self
        return self._inv

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return ComposeTransform(self.parts, cache_size)

    def __call__(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if not self.parts:
            return x.new_zeros(x.shape)
        ndim = self.domain.event_dim
        total: Any = None
        for number, part in enumerate(self.parts):
            image = y if number == len(self.parts) - 1 else part(x)
            own = part.log_abs_det_jacobian(x, image)
            own = sum_rightmost(own, ndim - part.domain.event_dim)
            total = own if total is None else total + own
            ndim += part.codomain.event_dim - part.domain.event_dim
            x = image
        return total

    def forward_shape(self, shape: Any) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __repr__(self) -> str:
        inner = ",\n    ".join(map(repr, self.parts))
        return f"{type(self).__name__}(\n    {inner}\n)"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """A transform whose last axes of the batch are one event.

    >>> D = torch.distributions
    >>> t = D.IndependentTransform(D.ExpTransform(), 1)
    >>> x = torch.tensor([1.0, 2.0])
    >>> t.log_abs_det_jacobian(x, t(x))
    tensor(3.)
    """

    def __init__(
        self, base_transform: Any, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        count = self.reinterpreted_batch_ndims
        return IndependentTransform(self.base_transform, count, cache_size)

    def _wider(self, region: Any) -> Any:
        return constraints.independent(region, self.reinterpreted_batch_ndims)

    @constraints.dependent_property(is_discrete=False)
    def domain(self) -> Any:
        return self._wider(self.base_transform.domain)

    @constraints.dependent_property(is_discrete=False)
    def codomain(self) -> Any:
        return self._wider(self.base_transform.codomain)

    @property
    def bijective(self) -> Any:
        return self.base_transform.bijective

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Any) -> Any:
        if x.dim() < self.domain.event_dim:
            raise ValueError(FEW)
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        if y.dim() < self.codomain.event_dim:
            raise ValueError(FEW)
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        found = self.base_transform.log_abs_det_jacobian(x, y)
        return sum_rightmost(found, self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Any) -> Any:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        name, count = type(self).__name__, self.reinterpreted_batch_ndims
        return f"{name}({self.base_transform!r}, {count})"
