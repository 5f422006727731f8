"""What scripts ask about the machine, and where results repeat. See `cuda`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from fgrad.torch import random
from fgrad.torch.devices import device, gpus
from fgrad.torch.random import default_generator
from fgrad.torch.registry import FUNCTIONS, function, method
from fgrad.torch.tensor import Tensor

VERSION = "2.13.0+fgrad"  # the PyTorch whose behaviour is reproduced


def _no(*args: Any, **kwargs: Any) -> bool:
    return False


_mps = SimpleNamespace(is_available=_no, is_built=_no)
_cudnn = SimpleNamespace(
    deterministic=True, benchmark=False, enabled=False, is_available=_no
)
_matmul = SimpleNamespace(allow_tf32=False)
backends = SimpleNamespace(mps=_mps, cudnn=_cudnn, cuda=SimpleNamespace(matmul=_matmul))


def _current(check_available: bool = False) -> device | None:
    return device("cuda") if gpus() else None


accelerator = SimpleNamespace(
    is_available=lambda: bool(gpus()),
    device_count=lambda: len(gpus()),
    current_accelerator=_current,
)
FUNCTIONS.update(accelerator=accelerator, backends=backends)


@function("set_num_threads")
def set_num_threads(n: int) -> None:
    """Accepted, without effect: NumPy's library for matrices has threads of its own.

    >>> torch.set_num_threads(1)
    """


@function("get_num_threads")
def get_num_threads() -> int:
    """How many threads PyTorch would use: one.

    >>> torch.get_num_threads()
    1
    """
    return 1


@function("use_deterministic_algorithms")
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted, without effect: all algorithms are deterministic.

    >>> torch.use_deterministic_algorithms(False)
    """


@function("typename")
def typename(obj: Any) -> str:
    """The name of a type: ``torch.FloatTensor``, or with its module.

    >>> torch.typename(torch.ones(1)), torch.typename(1)
    ('torch.FloatTensor', 'int')
    """
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    module = kind.__module__
    return (
        kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    )


@function("get_rng_state")
def get_rng_state() -> Tensor:
    """The state of the default generator, as a tensor of bytes.

    >>> state = torch.get_rng_state()
    >>> x = torch.rand(2)
    >>> torch.set_rng_state(state)
    >>> torch.equal(x, torch.rand(2))
    True
    """
    return default_generator.get_state()


@function("set_rng_state")
def set_rng_state(new_state: Tensor) -> None:
    """Put the default generator into a state that `get_rng_state` gave.

    >>> state = torch.get_rng_state()
    >>> x = torch.rand(2)
    >>> torch.set_rng_state(state)
    >>> torch.equal(x, torch.rand(2))
    True
    """
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **named: Any) -> Iterator[None]:
    """A block after which the default generator is in the state it had before.

    Args:
        devices: without effect: there is one generator.
        enabled: False for a block that changes nothing.
        named: other arguments of PyTorch's, without effect.

    >>> with torch.random.fork_rng():
    ...     x = torch.rand(2)
    >>> torch.equal(x, torch.rand(2))
    True
    """
    before = default_generator.get_state()
    try:
        yield
    finally:
        if enabled:
            default_generator.set_state(before)


for _function in (fork_rng, get_rng_state, set_rng_state):
    setattr(random, _function.__name__, _function)


@method("pin_memory", "share_memory_")
def _itself(self: Tensor, *args: Any) -> Tensor:
    """The tensor itself; PyTorch moves it to other memory.

    >>> torch.ones(2).pin_memory()
    tensor([1., 1.])
    """
    return self
