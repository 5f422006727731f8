"""What all distributions share: shapes, checks of arguments, text."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fgrad.torch.creation import as_tensor
from fgrad.torch.dtypes import get_default_dtype
from fgrad.torch.modes import no_grad
from fgrad.torch.size import Size
from fgrad.torch.tensor import Tensor, make

Check = Any  # a name and a function of an array
Constraints = dict[str, Check]


def real(x: Any) -> Any:
    """Whether elements are real numbers: not NaN."""
    return x == x


def positive(x: Any) -> Any:
    """Whether elements are positive."""
    return x > 0


def unit_interval(x: Any) -> Any:
    """Whether elements are between 0 and 1."""
    return (x >= 0) & (x <= 1)


def simplex(x: Any) -> Any:
    """Whether the last axis holds probabilities."""
    return np.all(x >= 0, axis=-1) & (np.abs(x.sum(-1) - 1) < 1e-6)


REAL = ("Real()", real)
REAL_VECTOR = ("IndependentConstraint(Real(), 1)", lambda x: np.all(x == x, axis=-1))
POSITIVE = ("GreaterThan(lower_bound=0.0)", positive)
NOT_NEGATIVE = ("GreaterThanEq(lower_bound=0.0)", lambda x: x >= 0)
UNIT = ("Interval(lower_bound=0.0, upper_bound=1.0)", unit_interval)
BOOLEAN = ("Boolean()", lambda x: (x == 0) | (x == 1))
SIMPLEX = ("Simplex()", simplex)


def _positive_definite(x: Any) -> Any:
    """Whether matrices are symmetric, and their eigenvalues positive."""
    if x.shape[-1] != x.shape[-2]:
        return np.zeros(x.shape[:-2], bool)
    is_symmetric = np.isclose(x, np.swapaxes(x, -1, -2), atol=1e-6).all((-2, -1))
    if not np.all(is_symmetric):
        return is_symmetric
    try:
        np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        return False
    return is_symmetric


def _lower_cholesky(x: Any) -> Any:
    """Whether matrices are lower triangles with positive diagonals."""
    is_lower = np.all(np.tril(x) == x, axis=(-2, -1))
    return is_lower & np.all(np.diagonal(x, 0, -2, -1) > 0, axis=-1)


POSITIVE_DEFINITE = ("PositiveDefinite()", _positive_definite)
LOWER_CHOLESKY = ("LowerCholesky()", _lower_cholesky)
COUNT = (
    "IntegerGreaterThan(lower_bound=0)",
    lambda x: (x % 1 == 0) & (x >= 0),
)


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
    tensors = [
        x if isinstance(x, Tensor) else as_tensor(float(x), dtype=dtype) for x in values
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

    >>> normal = torch.distributions.Normal(torch.zeros(3), 1.0)
    >>> normal.batch_shape, normal.event_shape, normal.sample((2,)).shape
    (torch.Size([3]), torch.Size([]), torch.Size([2, 3]))
    """

    arg_constraints: ClassVar[Constraints] = {}
    has_rsample = False
    has_enumerate_support = False
    support: Check | None = None
    _validate_args = True
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

    def _constraints(self) -> Constraints:
        return self.arg_constraints

    def _check_parameters(self) -> None:
        for name, (text, check) in self._constraints().items():
            value = self.__dict__.get(name)
            if value is None:
                continue
            valid = check(value._array)
            if not np.all(valid):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the "
                    f"constraint {text}, but found invalid values:\n{value}"
                )

    def _check_value(self, value: Any) -> None:
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
        text, check = self.support
        if not np.all(check(value._array)):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape "
                f"{tuple(value.shape)}) to be within the support ({text}) of the "
                f"distribution {self!r}, but found invalid values:\n{value}"
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
    def mode(self) -> Any:
        """The most probable value.

        Raises:
            NotImplementedError: there is no formula for it.
        """
        raise NotImplementedError(f"{type(self)} does not implement mode")

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

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution, in a new first axis.

        ``expand``: for each element of the batch; else the batch has axes of one.

        Raises:
            NotImplementedError: it is continuous, or has too many values.

        >>> torch.distributions.Bernoulli(torch.tensor([0.5, 0.5])).enumerate_support()
        tensor([[0., 0.],
                [1., 1.]])
        """
        raise NotImplementedError

    def _listed(self, values: Any, expand: bool) -> Any:
        """Values as `enumerate_support` gives them; events are their last axes."""
        event = self._event_shape
        ones = (1,) * len(self._batch_shape)
        listed = values.view(len(values), *ones, *event)
        return listed.expand(-1, *self._batch_shape, *event) if expand else listed

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


def drawn(array: Any, like: Any) -> Any:
    """A tensor of drawn numbers, in the dtype of a parameter."""
    return make(np.asarray(array).astype(like._aval.dtype))
