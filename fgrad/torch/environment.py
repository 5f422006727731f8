"""What scripts ask about the machine: there is no GPU, and results repeat."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fgrad.torch.random import default_generator
from fgrad.torch.registry import FUNCTIONS, function, method
from fgrad.torch.tensor import Tensor

VERSION = "2.13.0+fgrad"  # the PyTorch whose behaviour is reproduced


def _no(*args: Any, **kwargs: Any) -> bool:
    return False


def _none(*args: Any, **kwargs: Any) -> int:
    return 0


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


cuda = SimpleNamespace(
    is_available=_no,
    device_count=_none,
    manual_seed=_nothing,
    manual_seed_all=_nothing,
    empty_cache=_nothing,
    synchronize=_nothing,
)
_mps = SimpleNamespace(is_available=_no, is_built=_no)
_cudnn = SimpleNamespace(
    deterministic=True, benchmark=False, enabled=False, is_available=_no
)
backends = SimpleNamespace(mps=_mps, cudnn=_cudnn)
FUNCTIONS.update(cuda=cuda, backends=backends)


@function("set_num_threads")
def set_num_threads(n: int) -> None:
    """Accepted, without effect: NumPy's library for matrices has threads of its own."""


@function("get_num_threads")
def get_num_threads() -> int:
    """How many threads PyTorch would use: one."""
    return 1


@function("use_deterministic_algorithms")
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted, without effect: all algorithms are deterministic."""


@function("typename")
def typename(obj: Any) -> str:
    """The name of a type: ``torch.FloatTensor``, or with its module."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    module = kind.__module__
    return (
        kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    )


@function("get_rng_state")
def get_rng_state() -> Tensor:
    """The state of the default generator, as a tensor of bytes."""
    return default_generator.get_state()


@function("set_rng_state")
def set_rng_state(new_state: Tensor) -> None:
    """Put the default generator into a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


@method("pin_memory", "share_memory_")
def _itself(self: Tensor, *args: Any) -> Tensor:
    """The tensor; PyTorch moves it to other memory."""
    return self


@method("cuda")
def _to_gpu(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return self.to("cuda")  # type: ignore[no-any-return]
