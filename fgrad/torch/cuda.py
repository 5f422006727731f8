"""``torch.cuda``: what scripts ask about GPUs; they are those that jax sees."""

from __future__ import annotations

from typing import Any

from fgrad.torch.devices import device as device_of
from fgrad.torch.devices import found, gpus, of_jax
from fgrad.torch.random import manual_seed, seed

seed_all = seed
manual_seed_all = manual_seed  # random numbers are made on the CPU for all devices


def is_available() -> bool:
    """Whether jax sees a GPU; this imports jax if it is installed."""
    return bool(gpus())


def device_count() -> int:
    """How many GPUs jax sees."""
    return len(gpus())


def is_initialized() -> bool:
    """Whether there is a GPU: jax initialises it when it is asked."""
    return is_available()


def _gpu(device: Any) -> device_of:
    return found("cuda" if device is None else device)


def current_device() -> int:
    """The number of the GPU that ``"cuda"`` means: 0.

    Raises:
        RuntimeError: there is none.
    """
    return _gpu(None).index or 0


def set_device(device: Any) -> None:
    """Accepted if the GPU is there; name the device of a tensor instead."""
    _gpu(device)


def get_device_name(device: Any = None) -> str:
    """The name of a GPU.

    Raises:
        RuntimeError: it is not there.
    """
    return str(of_jax(_gpu(device)).device_kind)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a GPU, such as ``(9, 0)``.

    Raises:
        RuntimeError: it is not there.
    """
    major, _, minor = of_jax(_gpu(device)).compute_capability.partition(".")
    return int(major), int(minor or 0)


def synchronize(device: Any = None) -> None:
    """Without effect: what is read is waited for."""


def empty_cache() -> None:
    """Without effect: jax keeps memory for what follows."""


def _stats(device: Any) -> dict[str, int]:
    return of_jax(_gpu(device)).memory_stats() or {}


def memory_allocated(device: Any = None) -> int:
    """Bytes in use on a GPU."""
    return _stats(device).get("bytes_in_use", 0)


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that were in use on a GPU."""
    return _stats(device).get("peak_bytes_in_use", 0)


def memory_reserved(device: Any = None) -> int:
    """Bytes that jax holds on a GPU, for use now and later."""
    return _stats(device).get("pool_bytes", 0)


def is_bf16_supported() -> bool:
    """Whether there is bfloat16: NumPy has no such dtype."""
    return False
