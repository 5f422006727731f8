"""What all distributions share: shapes, checks of arguments, text."""

from __future__ import annotations

import functools
import warnings
from typing import Any, ClassVar

import numpy as np

from fgrad.torch.autograd.gradients import grad
from fgrad.torch.creation import as_tensor
from fgrad.torch.distributions.constraints import Constraint, is_dependent
from fgrad.torch.dtypes import get_default_dtype
from fgrad.torch.modes import no_grad
from fgrad.torch.placement import place
from fgrad.torch.size import Size
from fgrad.torch.tensor import Tensor, make


def together(*values: Any) -> list[Any]:
    """Numbers and tensors as tensors of one shape.

    Raises:
        ValueError: one is neither.
    """
    known = [x for x in values if isinstance(x, Tensor)]
    dtype = known[0].dtype if known else get_default_dtype()
    if any(not isinstance(x, Tensor | int | float) for x in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects "
            "implementing __torch_function__."
        )
    where = known[0].device if known else None
    tensors = [
        x if isinstance(x, Tensor) else as_tensor(float(x), dtype, where)
        for x in values
    ]
    shape = np.broadcast_shapes(*(x._aval.shape for x in tensors))
    return [x if x._aval.shape == shape else x.expand(shape) for x in tensors]


class Distribution:
    """A family of distributions, one for each element of a batch.

    A subclass gives `sample` or `rsample`, `log_prob` and `entropy`.

    Attributes:
        arg_constraints: what the parameters must be, by name.
        has_rsample: whether samples have gradients with respect to the parameters.
        has_enumerate_support: whether all values can be listed.
        support: what values must be.

    >>> normal = torch.distributions.Normal(torch.zeros(3), 1.0)
    >>> normal.batch_shape, normal.event_shape, normal.sample((2,)).shape
    (torch.Size([3]), torch.Size([]), torch.Size([2, 3]))
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample: Any = False
    has_enumerate_support = False
    support: Any = None
    _validate_args = True
    _parts: ClassVar[tuple[str, ...]] = ()  # distributions that this one is made of
    __module__ = "torch.distributions"

    def __init__(
        self,
        batch_shape: Any = (),
        event_shape: Any = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check their arguments."""
        Distribution._validate_args = bool(value)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution with parameters expanded to a batch of a shape.

        >>> torch.distributions.Normal(0.0, 1.0).expand((2, 3)).batch_shape
        torch.Size([2, 3])
        """
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new.__dict__.update(self.__dict__)
        batch = Size(batch_shape)
        for name, constraint in self.arg_constraints.items():
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                ndim = 0 if is_dependent(constraint) else constraint.event_dim
                event = tuple(value.shape)[value._aval.ndim - ndim :]
                new.__dict__[name] = value.expand((*batch, *event))
        for name in self._parts:
            new.__dict__[name] = self.__dict__[name].expand(batch)
        new._batch_shape = batch
        return new

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution, along a new first axis."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Any:
        """The probability of at most a value."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """The value below which samples lie with a probability."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """Where the density, or the probability, is largest."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    def sample_n(self, n: int) -> Any:
        """The older form of ``sample((n,))``."""
        text = "`sample_n(n)` will be deprecated. Use `sample((n,))` instead."
        warnings.warn(text, FutureWarning, stacklevel=2)
        return self.sample((n,))

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            known = getattr(type(self), name, None)
            is_later = isinstance(known, functools.cached_property)
            if is_dependent(constraint) or (is_later and name not in self.__dict__):
                continue
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the "
                    f"constraint {constraint!r}, but found invalid values:\n{value}"
                )

    def _validate_sample(self, value: Any) -> None:
        if not self._validate_args:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        ndim = len(self._event_shape)
        if value._aval.shape[value._aval.ndim - ndim :] != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.shape} vs {self._event_shape}."
            )
        shape = (*self._batch_shape, *self._event_shape)
        pairs = zip(reversed(value._aval.shape), reversed(shape), strict=False)
        if any(n != m and 1 not in (n, m) for n, m in pairs):
            raise ValueError(
                "Value is not broadcastable with batch_shape+event_shape: "
                f"{value.shape} vs {Size(shape)}."
            )
        if self.support is None:
            return
        if not self.support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape "
                f"{tuple(value.shape)}) to be within the support ({self.support!r}) of "
                f"the distribution {self!r}, but found invalid values:\n{value}"
            )

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one sample."""
        return self._event_shape

    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Any:
        """Samples of a shape, without gradients."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Samples of a shape, with gradients with respect to the parameters.

        >>> scale = torch.tensor(2.0, requires_grad=True)
        >>> torch.distributions.Normal(0.0, scale).rsample().requires_grad
        True
        """
        raise NotImplementedError

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density, or of the probability, at a value."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy, in nats."""
        raise NotImplementedError

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Any = ()) -> tuple[int, ...]:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def __repr__(self) -> str:
        names = [name for name in self.arg_constraints if name in self.__dict__]
        shown = [f"{name}: {_shown(self.__dict__[name])}" for name in names]
        return f"{type(self).__name__}({', '.join(shown)})"


def _shown(value: Any) -> str:
    if not isinstance(value, Tensor):
        return str(value)
    return f"{value if value._aval.size == 1 else value.size()}"


class ExponentialFamily(Distribution):
    """A family with densities ``exp(x . eta - F(eta) + k(x))``.

    A subclass gives the natural parameters ``eta`` as ``_natural_params``, the function
    ``F`` as ``_log_normalizer``, and the mean of ``k`` as ``_mean_carrier_measure``.
    The entropy and divergences follow (F. Nielsen and R. Nock, Entropies and
    cross-entropies of exponential families, 2010).

    >>> D = torch.distributions
    >>> issubclass(D.Normal, D.ExponentialFamily)
    True
    """

    @property
    def _natural_params(self) -> Any:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Any:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError

    def entropy(self) -> Any:
        found = -self._mean_carrier_measure
        given = [x.detach().requires_grad_() for x in self._natural_params]
        normal = self._log_normalizer(*given)
        slopes = grad(normal.sum(), given, create_graph=True)
        found = found + normal
        for x, slope in zip(given, slopes, strict=True):
            own = x * slope
            found = found - own.reshape((*self._batch_shape, -1)).sum(-1)
        return found


def drawn(array: Any, like: Any) -> Any:
    """A tensor of drawn numbers, in the dtype of a parameter, and where that is."""
    return place(make(np.asarray(array).astype(like._aval.dtype)), like._device)
