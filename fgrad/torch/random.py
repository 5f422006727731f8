"""Random tensors, by NumPy's PCG64: seeds repeat, the values are not PyTorch's."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch.creation import finish
from fgrad.torch.dtypes import as_dtype, dtype, get_default_dtype
from fgrad.torch.registry import function, operation
from fgrad.torch.size import size_arguments
from fgrad.torch.tensor import Tensor, make, require_tensor


@function("Generator")
class Generator:
    """A source of random numbers; the same seed gives the same numbers.

    >>> first, second = (torch.Generator().manual_seed(0) for _ in range(2))
    >>> torch.rand(1, generator=first) == torch.rand(1, generator=second)
    tensor([True])
    """

    def __init__(self, device: Any = "cpu") -> None:
        self._seed = 67280421310721  # PyTorch's own default

    @functools.cached_property
    def numpy(self) -> np.random.Generator:
        """NumPy's generator; its module takes 13 ms to import."""
        return np.random.default_rng(self._seed % 2**64)

    def manual_seed(self, seed: int) -> Generator:
        """Start over from a seed."""
        self._seed = int(seed)
        self.__dict__.pop("numpy", None)
        return self

    def seed(self) -> int:
        """Start over from a seed that the system gives."""
        entropy = np.random.SeedSequence().entropy
        assert isinstance(entropy, int)
        return self.manual_seed(entropy % 2**63).initial_seed()

    def initial_seed(self) -> int:
        """The seed that the numbers started from."""
        return self._seed

    def get_state(self) -> Tensor:
        """The state, as a tensor of bytes."""
        state = {"seed": self._seed, **self.numpy.bit_generator.state}
        text = json.dumps(state).encode()
        return make(np.frombuffer(text, np.uint8).copy())

    def set_state(self, new_state: Tensor) -> Generator:
        """Go back to a state that `get_state` gave."""
        state = json.loads(new_state._array.tobytes())
        self.manual_seed(state.pop("seed"))
        self.numpy.bit_generator.state = state
        return self


default_generator = Generator()


@function("manual_seed")
def manual_seed(seed: int) -> Generator:
    """Start the default generator over from a seed; the generator.

    The numbers that follow are the same each time. They are not PyTorch's.

    >>> _ = torch.manual_seed(0)
    >>> x = torch.rand(2)
    >>> _ = torch.manual_seed(0)
    >>> torch.equal(x, torch.rand(2))
    True
    """
    return default_generator.manual_seed(seed)


def drawn(
    name: str, shape: tuple[int, ...], wanted: dtype, generator: Generator | None
) -> Any:
    if wanted.is_complex:
        pair = drawn(name, (*shape, 2), wanted.to_real(), generator)
        scale = 1 if name == "rand" else math.sqrt(0.5)  # a variance of one
        return np.asarray((pair * scale).astype(pair.dtype)).view(wanted.numpy)[..., 0]
    if not wanted.is_floating_point:
        kernel = "check_uniform_bounds" if name == "rand" else "normal_kernel_cpu"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{wanted.kind}'")
    source = (generator or default_generator).numpy
    method: Any = source.random if name == "rand" else source.standard_normal
    is_double = wanted.itemsize == 8
    values: Any = method(shape, np.float64 if is_double else np.float32)
    return np.asarray(values).astype(wanted.numpy, copy=False)


@function("rand")
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """Numbers drawn evenly from ``[0, 1)``, of the default dtype unless one is given.

    ``size`` is a shape, or its lengths.

    >>> x = torch.rand(2, 3)
    >>> x.shape, bool((x >= 0).all() & (x < 1).all())
    (torch.Size([2, 3]), True)
    """
    shape = size_arguments("rand", size, named.get("size"))
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    return finish(drawn("rand", shape, wanted, generator), requires_grad, device)


@function("randn")
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """Numbers drawn from the standard normal distribution; arguments as of `rand`.

    >>> _ = torch.manual_seed(0)
    >>> torch.randn(10000).std().round(decimals=1)
    tensor(1.)
    """
    shape = size_arguments("randn", size, named.get("size"))
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    return finish(drawn("randn", shape, wanted, generator), requires_grad, device)


def _source(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).numpy


@function("randint")
def randint(
    *bounds: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """Integers drawn evenly from ``[low, high)``: ``randint(low, high, size)``.

    Raises:
        TypeError: the size is missing.
        RuntimeError: there is no integer to draw.

    >>> torch.randint(5, 6, (4,))
    tensor([5, 5, 5, 5])
    """
    given = list(bounds)
    size = named.pop("size", None)
    if size is None:
        if len(given) < 2 or not isinstance(given[-1], Sequence):
            raise TypeError(
                "randint() takes (high, size) or (low, high, size), with a sequence as "
                f"the size; got {tuple(bounds)}"
            )
        size = given.pop()
    high = named.pop("high", None)
    low = named.pop("low", None)
    if high is None:
        high = given.pop()
    if low is None:
        low = given.pop() if given else 0
    if low >= high:
        raise RuntimeError(
            "random_ expects 'from' to be less than 'to', but got from="
            f"{low} >= to={high}"
        )
    shape = size_arguments("randint", (size,))
    values = _source(generator).integers(int(low), int(high), shape)
    wanted = np.dtype(np.int64) if dtype is None else as_dtype(dtype).numpy
    return finish(np.asarray(values).astype(wanted), requires_grad, device)


@function("randperm")
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers below ``n`` in random order.

    >>> torch.randperm(4).sort().values
    tensor([0, 1, 2, 3])
    """
    if not isinstance(n, int):
        raise TypeError(
            f"randperm(): argument 'n' (position 1) must be int, not {type(n).__name__}"
        )
    wanted = np.dtype(np.int64) if dtype is None else as_dtype(dtype).numpy
    values = _source(generator).permutation(n).astype(wanted)
    return finish(values, requires_grad, device)


@function("normal")
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of given means and deviations: tensors, or numbers and a size.

    Raises:
        RuntimeError: a deviation is negative.

    >>> torch.normal(torch.tensor([1.0, 2.0]), 0.0)
    tensor([1., 2.])
    """
    centre, spread = (z._array if isinstance(z, Tensor) else z for z in (mean, std))
    if np.any(np.asarray(spread) < 0):
        raise RuntimeError(f"normal expects std >= 0.0, but found std {spread:g}")
    if size is None:
        if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
            raise TypeError("normal() takes tensors, or two numbers and a size")
        shape = np.broadcast_shapes(np.shape(centre), np.shape(spread))
    else:
        shape = size_arguments("normal", (size,))
    tensors = [z for z in (mean, std) if isinstance(z, Tensor)]
    wanted = tensors[0].dtype if tensors else get_default_dtype()
    wanted = wanted if dtype is None else as_dtype(dtype)
    values = drawn("randn", shape, wanted, generator) * spread + centre
    return finish(np.asarray(values).astype(wanted.numpy), requires_grad, device)


@operation("bernoulli")
def bernoulli(
    input: Tensor, p: Any = None, *, generator: Generator | None = None
) -> Tensor:
    """Ones with the probabilities that the elements give, zeros else.

    The dtype and shape are the input's.

    Raises:
        RuntimeError: an element is no probability.

    >>> torch.bernoulli(torch.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    x = require_tensor("bernoulli", input)
    chance = x._array if p is None else np.broadcast_to(p, x._aval.shape)
    if chance.size and not (chance.min() >= 0 and chance.max() <= 1):
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this "
            "error message be improved?  If so, please report an enhancement request "
            "to PyTorch.)"
        )
    hits = _source(generator).random(x._aval.shape) < chance
    return finish(np.asarray(hits).astype(x._aval.dtype))


@operation("multinomial")
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Indices drawn with given weights.

    ``(n,)`` or ``(m, n)`` weights give int64 ``(num_samples,)`` or ``(m,
    num_samples)``.

    Raises:
        RuntimeError: a weight is negative, or there are too few to draw from.

    >>> torch.multinomial(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 5.0]]), 1)
    tensor([[1],
            [2]])
    """
    x = require_tensor("multinomial", input)
    weights = np.asarray(x._array, np.float64)
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise RuntimeError(
            "probability tensor contains either `inf`, `nan` or element < 0"
        )
    rows = np.atleast_2d(weights)
    if np.any(rows.sum(-1) <= 0):
        raise RuntimeError(
            "invalid multinomial distribution (sum of probabilities <= 0)"
        )
    if not replacement and num_samples > rows.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    source = _source(generator)
    if replacement:
        ends = np.cumsum(rows / rows.sum(-1, keepdims=True), -1)
        draws = source.random((len(rows), num_samples))
        found = np.sum(draws[..., None] >= ends[:, None, :-1], -1)
    else:
        # the largest keys u ** (1 / w): Efraimidis and Spirakis, 2006
        keys = np.log(source.random(rows.shape)) / np.where(rows > 0, rows, 1e-300)
        found = np.argsort(-keys, -1, kind="stable")[:, :num_samples]
    shape = (*x._aval.shape[:-1], num_samples)
    return finish(np.asarray(found, np.int64).reshape(shape))


@function("poisson")
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers drawn from Poisson distributions of given rates.

    >>> torch.poisson(torch.zeros(2))
    tensor([0., 0.])
    """
    values = _source(generator).poisson(input._array)
    return finish(np.asarray(values).astype(input._aval.dtype))


@function("seed")
def seed() -> int:
    """Start the default generator over from a seed that the system gives; the seed.

    >>> torch.seed() == torch.initial_seed()
    True
    """
    return default_generator.seed()


@function("initial_seed")
def initial_seed() -> int:
    """The seed that the default generator started from.

    >>> _ = torch.manual_seed(7)
    >>> torch.initial_seed()
    7
    """
    return default_generator.initial_seed()
