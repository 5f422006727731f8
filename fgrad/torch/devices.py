"""Devices: ``cpu``, which is NumPy, and those that jax knows, which run XLA's programs.

``cuda`` is a GPU that jax sees, ``xla`` what jax computes on by default: a GPU or TPU
if there is one, else the CPU.
"""

from __future__ import annotations

import functools
import re
import threading
from importlib.util import find_spec
from typing import Any

from fgrad.lower.jax import import_jax

KINDS = (
    "cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, "
    "lazy, vulkan, mps, meta, hpu, mtia, privateuseone"
)
_KNOWN = frozenset(KINDS.split(", "))


class device:
    """Where a tensor lives; as a context, where new tensors are made.

    Args:
        type: the kind: ``"cpu"``, ``"xla"`` or ``"cuda"``, perhaps with a number behind
            a colon; or a device; or a number, of a GPU.
        index: the number.

    Raises:
        RuntimeError: there is no such kind, in PyTorch's words.

    >>> torch.device("xla:0"), torch.device("cuda", 1)
    (device(type='xla', index=0), device(type='cuda', index=1))
    """

    __slots__ = ("_before", "index", "type")
    _before: device
    index: int | None
    type: str

    def __init__(self, type: Any = None, index: Any = None) -> None:
        if isinstance(type, int):
            type, index = "cuda", type
        if isinstance(type, device):
            type, index = type.type, type.index
        if not isinstance(type, str):
            raise TypeError(
                "device() received an invalid combination of arguments - expected one "
                "of:\n * (torch.device device)\n * (str type, int index = -1)"
            )
        kind, colon, number = type.partition(":")
        if kind not in _KNOWN:
            raise RuntimeError(
                f"Expected one of {KINDS} device type at start of device string: {kind}"
            )
        if colon:
            if not re.fullmatch(r"0|[1-9]\d*", number):
                raise RuntimeError(f"Invalid device string: '{type}'")
            index = int(number)
        self.type, self.index = kind, index

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> Any:
        return device, (str(self),)

    def __enter__(self) -> device:
        self._before = DEFAULT.where
        DEFAULT.where = found(self)
        return self

    def __exit__(self, *exception: object) -> None:
        DEFAULT.where = self._before


CPU: device = device("cpu")


class _Default(threading.local):
    """Where a thread makes tensors if nothing is said."""

    where: device = CPU


class _Use:
    """Whether a device beside the CPU was asked for: most programs never do."""

    is_on = False


DEFAULT = _Default()
DEVICES = _Use()
_FOUND: dict[str, device] = {}  # those in use, one object for each


def found(given: Any) -> device:
    """The device that is meant, with its number; None means the default.

    Raises:
        RuntimeError: it is not there.
        NotImplementedError: fgrad does not run on devices of its kind.
        BackendError: jax is missing or too old.
    """
    if given is None:
        return DEFAULT.where
    wanted = device(given)
    if wanted.type == "cpu":
        return CPU
    if wanted.type not in ("xla", "cuda"):
        raise NotImplementedError(
            f"device {str(wanted)!r}: fgrad.torch runs on 'cpu' (NumPy), and by XLA on "
            "'cuda' and 'xla' (jax's default device)"
        )
    name = f"{wanted.type}:{wanted.index or 0}"
    if name not in _FOUND:
        of_jax(device(name))
        _FOUND.setdefault(name, device(name))
        DEVICES.is_on = True
    return _FOUND[name]


@functools.cache
def of_jax(where: device) -> Any:
    """The device as jax knows it.

    Raises:
        RuntimeError: jax does not see it.
    """
    seen = import_jax().devices() if where.type == "xla" else gpus()
    number = where.index or 0
    if number >= len(seen):
        kind = "devices" if where.type == "xla" else "GPUs"
        raise RuntimeError(
            f"device '{where}' is not there: jax sees {len(seen)} {kind}. Use 'cpu', "
            "or 'xla' for the device that jax takes by default; on a machine with a "
            "GPU install jax for it (pip install 'jax[cuda13]')"
        )
    return seen[number]


def gpus() -> list[Any]:
    """The GPUs that jax sees; none if it is not installed."""
    if find_spec("jax") is None:
        return []
    return [each for each in import_jax().devices() if each.platform == "gpu"]
