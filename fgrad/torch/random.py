"""Random tensors, by NumPy's PCG64: seeds repeat, the values are not PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.creation import finish
from fgrad.torch.dtypes import as_dtype, dtype, get_default_dtype
from fgrad.torch.size import size_arguments
from fgrad.torch.tensor import Tensor, require_tensor


class Generator:
    """A source of random numbers; the same seed gives the same numbers."""

    def __init__(self, device: Any = "cpu") -> None:
        self._seed = 67280421310721  # PyTorch's own default
        self.numpy = np.random.default_rng(self._seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start over from a seed."""
        self._seed = int(seed)
        self.numpy = np.random.default_rng(self._seed % 2**64)
        return self

    def seed(self) -> int:
        """Start over from a seed that the system gives."""
        entropy = np.random.SeedSequence().entropy
        assert isinstance(entropy, int)
        return self.manual_seed(entropy % 2**63).initial_seed()

    def initial_seed(self) -> int:
        """The seed that the numbers started from."""
        return self._seed


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default generator over from a seed."""
    return default_generator.manual_seed(seed)


def _draw(
    name: str, shape: tuple[int, ...], wanted: dtype, generator: Generator | None
) -> Any:
    if not wanted.is_floating_point:
        kernel = "check_uniform_bounds" if name == "rand" else "normal_kernel_cpu"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{wanted.kind}'")
    source = (generator or default_generator).numpy
    method: Any = source.random if name == "rand" else source.standard_normal
    is_double = wanted.itemsize == 8
    values: Any = method(shape, np.float64 if is_double else np.float32)
    return np.asarray(values).astype(wanted.numpy, copy=False)


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """Numbers drawn evenly from [0, 1)."""
    shape = size_arguments("rand", size, named.get("size"))
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    return finish(_draw("rand", shape, wanted, generator), requires_grad, device)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """Numbers drawn from the standard normal distribution."""
    shape = size_arguments("randn", size, named.get("size"))
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    return finish(_draw("randn", shape, wanted, generator), requires_grad, device)


def rand_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """As `rand`, in the shape and dtype of another tensor."""
    x = require_tensor("rand_like", input)
    wanted = x.dtype if dtype is None else as_dtype(dtype)
    return finish(_draw("rand", x.shape, wanted, None), requires_grad, device)


def randn_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """As `randn`, in the shape and dtype of another tensor."""
    x = require_tensor("randn_like", input)
    wanted = x.dtype if dtype is None else as_dtype(dtype)
    return finish(_draw("randn", x.shape, wanted, None), requires_grad, device)
