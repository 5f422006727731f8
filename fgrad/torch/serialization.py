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
from fgrad.torch.devices import CPU, device
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.size import Size
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
        told = {kind: len(arrays) - 1, "requires_grad": obj._requires}
        return told if obj._device is CPU else {**told, "device": str(obj._device)}
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


def _decode(data: Any, read: Callable[[int], Array], where: Any) -> Any:
    """The value of JSON that `_encode` gave.

    Args:
        data: the JSON.
        read: gives the array of a number.
        where: where tensors are put: a function of the name of their device.
    """
    if not isinstance(data, dict):
        return data
    kind = next(iter(data))
    value = data[kind]
    if kind == "float":
        return float(value)
    if kind in ("tensor", "parameter"):
        place = where(data.get("device", "cpu"))
        if kind == "parameter":
            loaded = finish(read(value), device=place)
            return Parameter(loaded, data["requires_grad"])
        return finish(read(value), data["requires_grad"], place)
    if kind in ("dict", "ordered"):
        create: Any = OrderedDict if kind == "ordered" else dict
        return create(
            (_decode(k, read, where), _decode(v, read, where)) for k, v in value
        )
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](_decode(each, read, where) for each in value)
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

    >>> import io
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.ones(2)}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'weight': tensor([1., 1.])}
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
        map_location: the device that tensors are put on, or for each name of a device
            where to; by default that on which they were saved.
        weights_only: nothing else is ever loaded.
        mmap: has no effect.
        options: PyTorch's for pickles, which have no effect.

    Raises:
        ValueError: the file is in another format.

    >>> import io
    >>> file = io.BytesIO()
    >>> torch.save([torch.ones(2), "text"], file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    [tensor([1., 1.]), 'text']
    """
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

        return _decode(header["tree"], read, _placing(map_location))


def _placing(map_location: Any) -> Callable[[str], Any]:
    """Where tensors are put, for the name of the device on which they were saved."""
    if isinstance(map_location, dict):
        names = {str(device(k)): v for k, v in map_location.items()}
        return lambda name: names.get(name, name)
    if map_location is None or callable(map_location):
        return lambda name: name
    return lambda name: map_location


def _other_format(f: Any) -> str:
    name = getattr(f, "name", f)
    return (
        f"{name} was not written by fgrad.torch.save. PyTorch's files are pickles, "
        "which can run code, so they are not read; with PyTorch, convert a state dict "
        "by numpy.savez(path, **{k: v.numpy() for k, v in state.items()})"
    )
