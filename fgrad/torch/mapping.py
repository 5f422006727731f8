"""``torch.vmap``: a function of one element, called once for a whole batch.

The function runs in a mapped trace of the core (`fgrad.vmap`): the array of a tensor is
a tracer, whose value is the batch. Where that cannot be (an operation needs the values,
a gradient is to flow through the map), the function is called for each element and the
results are stacked; the numbers are the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.torch import random
from fgrad.torch.joining import cat
from fgrad.torch.joining import stack as stacked
from fgrad.torch.modes import STATE
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Array, Tensor, make
from fgrad.torch.tree_text import structure_text
from fgrad.transforms.vmap import run_mapped

RANDOM = (
    "vmap: called random operation while in randomness error mode. Please either use "
    "the 'same' or 'different' randomness flags on vmap or perform the randomness "
    "operation out of vmap"
)

Function = Callable[..., Any]


class _NotMapped(Exception):
    """The function does what a mapped trace does not carry, such as gradients."""


def vmap(
    func: Function,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Function:
    """A function of a batch: of the slices of its arguments along axes.

    Args:
        func: a function of tensors, which returns tensors.
        in_dims: the axis of each argument, None for one that serves all.
        out_dims: where the batch is in the results; None for one that is the same for
            all elements.
        randomness: whether random numbers are refused (``"error"``), drawn for each
            element (``"different"``) or once for all (``"same"``).
        chunk_size: the largest number of elements that are computed at once.

    Raises:
        ValueError: no argument is mapped, or batches differ.
        RuntimeError: random numbers are drawn, and nothing says how.

    >>> torch.vmap(torch.dot)(torch.eye(2), torch.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([3., 6.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. "
            f"Got {randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(
            f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})"
        )

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten(args)
        dims = _checked_dims(func, in_dims, args, leaves)
        run = Map(functools.partial(func, **kwargs), structure, out_dims, randomness)
        run.name = getattr(func, "__name__", repr(func))
        size = _size(leaves, dims)
        if chunk_size is None or size <= chunk_size:
            return run(leaves, dims, size)
        return run.chunked(leaves, dims, size, chunk_size)

    return mapped


def _checked_dims(
    func: Function, in_dims: Any, args: tuple[Any, ...], leaves: list[Any]
) -> list[int | None]:
    """The mapped axis of each leaf, not negative; None where it is not mapped."""
    name = getattr(func, "__name__", repr(func))
    prefix = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, int | tuple | list):
        raise ValueError(
            f"{prefix}expected `in_dims` to be int or a (potentially nested) tuple "
            f"matching the structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, "
            "or you are trying to vmap over a function with no inputs. The latter is "
            "unsupported."
        )
    dims: list[Any] = []
    if not _spread(in_dims if isinstance(in_dims, int) else tuple(in_dims), args, dims):
        raise ValueError(
            f"{prefix}in_dims is not compatible with the structure of `inputs`. "
            f"in_dims has structure {structure_text(in_dims)} but inputs has structure "
            f"{structure_text(args)}."
        )
    return [_checked_dim(prefix, d, x) for d, x in zip(dims, leaves, strict=True)]


def _spread(dims: Any, value: Any, found: list[Any]) -> bool:
    """Collect the axis of each leaf; whether the structures fit together."""
    if isinstance(dims, tuple | list) and isinstance(value, tuple | list):
        pairs = list(zip(dims, value, strict=False))
        return len(dims) == len(value) and all(_spread(*p, found) for p in pairs)
    if isinstance(dims, dict) and isinstance(value, dict):
        return dims.keys() == value.keys() and all(
            _spread(dims[key], value[key], found) for key in sorted(value)
        )
    if isinstance(dims, tuple | list | dict):
        return False
    found += [dims] * len(tree.flatten(value)[0])
    return True


def _checked_dim(prefix: str, dim: Any, x: Any) -> int | None:
    if dim is None:
        return None
    if not isinstance(dim, int):
        raise ValueError(
            f"{prefix}Got in_dim={dim} for an input but in_dim must be either an "
            "integer dimension or None."
        )
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{prefix}Got in_dim={dim} for an input but the input is of type {type(x)}."
            " We cannot vmap over non-Tensor arguments, please use None as the "
            "respective in_dim"
        )
    ndim = x._aval.ndim
    if not -ndim <= dim < ndim:
        raise ValueError(
            f"{prefix}Got in_dim={dim} for some input, but that input is a Tensor of "
            f"dimensionality {ndim} so expected in_dim to satisfy -{ndim} <= in_dim < "
            f"{ndim}."
        )
    return dim % ndim


def _size(leaves: list[Any], dims: list[int | None]) -> int:
    pairs = zip(leaves, dims, strict=True)
    sizes = [x._aval.shape[dim] for x, dim in pairs if dim is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if len(set(sizes)) > 1:
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, "
            f"got sizes {sizes} for the mapped dimension"
        )
    return int(sizes[0])


class Map:
    """One call of a mapped function.

    Attributes:
        name: the function's, for messages.
    """

    name = ""

    def __init__(
        self, func: Function, structure: Any, out_dims: Any, randomness: str
    ) -> None:
        self.func = func
        self.structure = structure
        self.out_dims = out_dims
        self.randomness = randomness

    def __call__(self, leaves: list[Any], dims: list[int | None], size: int) -> Any:
        """The results for a batch."""
        state = _random_state()
        if STATE.enabled and any(isinstance(x, Tensor) and x._requires for x in leaves):
            return self._looped(leaves, dims, size)
        before, STATE.mapped = STATE.mapped, True
        try:
            results, structure = self._at_once(leaves, dims, size)
        except Exception:
            # what the mapped trace refused; an error of the function's own comes again
            _restore(state)
            STATE.mapped = before
            return self._looped(leaves, dims, size)
        finally:
            STATE.mapped = before
        if _random_state() != state and self.randomness != "same":
            _restore(state)
            return self._looped(leaves, dims, size)
        places = self._places(tree.unflatten(structure, [make(x) for x, _ in results]))
        pairs = zip(results, places, strict=True)
        outs = [self._placed(*result, place, size) for result, place in pairs]
        return tree.unflatten(structure, outs)

    def _at_once(
        self, leaves: list[Any], dims: list[int | None], size: int
    ) -> tuple[list[tuple[Any, bool]], Any]:
        numbers = [k for k, dim in enumerate(dims) if dim is not None]
        batches = [np.moveaxis(leaves[k]._array, dims[k], 0) for k in numbers]  # type: ignore[arg-type]
        found: list[Any] = []

        def call(elements: list[Any]) -> list[Any]:
            arguments = list(leaves)
            points = [make(element) for element in elements]
            for k, point in zip(numbers, points, strict=True):
                arguments[k] = point
            result = self.func(*tree.unflatten(self.structure, arguments))
            outs, structure = self._checked(result)
            # written to: the caller's tensor changes, too, where it is sliced
            is_written = any(point._storage.version for point in points)
            if is_written or any(y._requires for y in outs):
                raise _NotMapped
            found.append(structure)
            return [y._array for y in outs]

        flags = tuple(True for _ in numbers)
        results = run_mapped(call, size, batches, flags)
        return [(_own(x, batches), is_mapped) for x, is_mapped in results], found[0]

    def _looped(self, leaves: list[Any], dims: list[int | None], size: int) -> Any:
        state = _random_state()
        rows, structure = [], None
        for k in range(size):
            if self.randomness == "same":
                _restore(state)
            parts = [
                x if dim is None else x.select(dim, k)
                for x, dim in zip(leaves, dims, strict=True)
            ]
            result = self.func(*tree.unflatten(self.structure, parts))
            outs, structure = self._checked(result)
            rows.append(outs)
            if self.randomness == "error" and _random_state() != state:
                raise RuntimeError(RANDOM)
        places = self._places(tree.unflatten(structure, rows[0]))  # type: ignore[arg-type]
        columns = zip(*rows, strict=True)
        return tree.unflatten(
            structure,  # type: ignore[arg-type]
            [self._stacked(c, place) for c, place in zip(columns, places, strict=True)],
        )

    def _checked(self, result: Any) -> tuple[list[Any], Any]:
        outs, structure = tree.flatten(result)
        for y in outs if result is not None else [None]:
            if not isinstance(y, Tensor):
                raise ValueError(
                    f"vmap({self.name}, ...): `{self.name}` must only return Tensors, "
                    f"got type {type(y)}. Did you mean to set out_dims= to None for "
                    "output?"
                )
        return outs, structure

    def _places(self, result: Any) -> list[Any]:
        """Where the batch is to be in each result."""
        found: list[Any] = []
        if not _spread(self.out_dims, result, found):
            raise ValueError(
                f"vmap({self.name}, ..., out_dims={self.out_dims})(<inputs>): out_dims "
                "is not compatible with the structure of `outputs`. out_dims has "
                f"structure {structure_text(self.out_dims)} but outputs has structure "
                f"{structure_text(result)}."
            )
        return found

    def _placed(self, value: Any, is_mapped: bool, place: Any, size: int) -> Tensor:
        if place is None:
            if is_mapped:
                raise ValueError(
                    f"vmap({self.name}, ...): `{self.name}` can not return a "
                    "BatchedTensor when out_dim is None"
                )
            return make(value)
        if not is_mapped:
            value = np.broadcast_to(value, (size, *np.shape(value))).copy()
        axis = axis_of(place, value.ndim)
        return make(np.moveaxis(value, 0, axis) if axis else value)

    def _stacked(self, column: Sequence[Tensor], place: Any) -> Tensor:
        if place is not None:
            return stacked(list(column), place)
        if any(y is not column[0] for y in column):
            raise ValueError(
                f"vmap({self.name}, ...): `{self.name}` can not return a BatchedTensor "
                "when out_dim is None"
            )
        return column[0]

    def chunked(
        self, leaves: list[Any], dims: list[int | None], size: int, chunk: int
    ) -> Any:
        """The results for a batch that is cut into parts."""
        parts = []
        for start in range(0, size, chunk):
            length = min(chunk, size - start)
            cut = [
                x if dim is None else x.narrow(dim, start, length)
                for x, dim in zip(leaves, dims, strict=True)
            ]
            parts.append(self(cut, dims, length))
        places = self._places(parts[0])
        structure = tree.flatten(parts[0])[1]
        columns = zip(*(tree.flatten(part)[0] for part in parts), strict=True)
        outs = [
            column[0] if place is None else cat(list(column), place)
            for column, place in zip(columns, places, strict=True)
        ]
        return tree.unflatten(structure, outs)


def _own(value: Any, batches: list[Array]) -> Any:
    """A result in memory that no argument shares."""
    if type(value) is not np.ndarray:
        return value
    is_shared = value.base is not None or any(value is batch for batch in batches)
    return value.copy() if is_shared else value


def _random_state() -> Any:
    return random.default_generator.numpy.bit_generator.state


def _restore(state: Any) -> None:
    random.default_generator.numpy.bit_generator.state = state
