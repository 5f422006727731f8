"""``save`` and ``load``: tensors in containers, in a format that runs no code.

The file is a zip archive: ``header.json`` describes the containers, and each tensor is
an array in NumPy's format. Reading it creates containers, numbers, texts and tensors,
and nothing else: no pickle is involved.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.creation import finish
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.size import Size, device
from fgrad.torch.tensor import Array, Tensor

FORMAT = "fgrad.torch 1"
_PLAIN: tuple[Any, ...] = (str, int, float, bool, type(None))
_CONTAINERS: dict[str, Any] = {"list": list, "tuple": tuple, "size": Size, "set": set}


def _encode(obj: Any, arrays: list[Array]) -> Any:
    """A value as JSON; arrays are put aside."""
    if isinstance(obj, float) and not math.isfinite(obj):
        return {"float": repr(float(obj))}
    if type(obj) in _PLAIN:
        return obj
    if isinstance(obj, np.generic) and obj.dtype.kind in "biuf":
        return _encode(obj.item(), arrays)
    if isinstance(obj, Tensor):
        arrays.append(obj._array)
        kind = "parameter" if isinstance(obj, Parameter) else "tensor"
        return {kind: len(arrays) - 1, "requires_grad": obj._requires}
    if isinstance(obj, dict):
        kind = "ordered" if isinstance(obj, OrderedDict) else "dict"
        pairs = [[_encode(part, arrays) for part in pair] for pair in obj.items()]
        return {kind: pairs}
    for name, container in _CONTAINERS.items():
        if type(obj) is container:
            return {name: [_encode(value, arrays) for value in obj]}
    if isinstance(obj, dtypes.dtype):
        return {"dtype": obj.name}
    if isinstance(obj, device):
        return {"device": str(obj)}
    raise TypeError(
        f"torch.save() of a {type(obj).__name__}: fgrad.torch saves tensors, numbers, "
        "texts, and dictionaries, lists and tuples of these. Save model.state_dict(), "
        "and load it into a new model with load_state_dict()"
    )


def _decode(data: Any, read: Callable[[int], Array]) -> Any:
    """The value of JSON that `_encode` gave."""
    if not isinstance(data, dict):
        return data
    kind = next(iter(data))
    value = data[kind]
    if kind == "float":
        return float(value)
    if kind in ("tensor", "parameter"):
        if kind == "parameter":
            return Parameter(finish(read(value)), data["requires_grad"])
        return finish(read(value), data["requires_grad"])
    if kind in ("dict", "ordered"):
        create: Any = OrderedDict if kind == "ordered" else dict
        return create((_decode(k, read), _decode(v, read)) for k, v in value)
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](_decode(each, read) for each in value)
    if kind == "dtype":
        return next(each for each in dtypes.ALL if each.name == value)
    if kind == "device":
        return device(value)
    raise ValueError(f"the file holds a {kind!r}, which this version does not know")


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes], **options: Any) -> None:
    """Write tensors in containers, such as a ``state_dict``, to a file.

    Args:
        obj: tensors, numbers, texts, and dictionaries, lists and tuples of these.
        f: a path, or a file that is open for writing bytes.
        options: PyTorch's, which have no effect.

    Raises:
        TypeError: something else is among them.
    """
    arrays: list[Array] = []
    tree = _encode(obj, arrays)
    header = json.dumps({"format": FORMAT, "tree": tree})
    with zipfile.ZipFile(f, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("header.json", header)
        for number, array in enumerate(arrays):
            with archive.open(f"{number}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **options: Any,
) -> Any:
    """What `save` wrote to a file.

    Args:
        f: a path, or a file that is open for reading bytes.
        map_location: the device of the tensors: ``"cpu"``.
        weights_only: nothing else is ever loaded.
        mmap: has no effect.
        options: PyTorch's for pickles, which have no effect.

    Raises:
        ValueError: the file is in another format.
    """
    if map_location is not None and not callable(map_location):
        device(map_location)
    if not zipfile.is_zipfile(f):
        raise ValueError(_other_format(f))
    with zipfile.ZipFile(f) as archive:
        if "header.json" not in archive.namelist():
            raise ValueError(_other_format(f))
        header = json.loads(archive.read("header.json"))
        if header.get("format") != FORMAT:
            raise ValueError(
                f"the file has the format {header.get('format')!r}; this version of "
                f"fgrad.torch reads {FORMAT!r}"
            )

        def read(number: int) -> Array:
            with archive.open(f"{number}.npy") as entry:
                array: Array = np.lib.format.read_array(entry, allow_pickle=False)
            return array

        return _decode(header["tree"], read)


def _other_format(f: Any) -> str:
    name = getattr(f, "name", f)
    return (
        f"{name} was not written by fgrad.torch.save. PyTorch's files are pickles, "
        "which can run code, so they are not read; with PyTorch, convert a state dict "
        "by numpy.savez(path, **{k: v.numpy() for k, v in state.items()})"
    )
