"""The loader: items of a data set as batches, in this process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fgrad.torch.conversion import from_numpy
from fgrad.torch.creation import as_tensor, tensor
from fgrad.torch.dtypes import float64
from fgrad.torch.joining import stack
from fgrad.torch.random import Generator
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.utils.data.dataset import IterableDataset, Subset, TensorDataset
from fgrad.torch.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
)


def default_collate(batch: Sequence[Any]) -> Any:
    """Items as one: tensors and numbers stacked, containers element by element.

    Raises:
        RuntimeError: items have different lengths.
        TypeError: items are of a type that cannot be stacked.

    >>> torch.utils.data.default_collate([(1, 2.0), (3, 4.0)])
    [tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch))
    if isinstance(first, np.ndarray):
        return stack([from_numpy(each) for each in batch])
    if isinstance(first, np.generic):
        return as_tensor(np.stack(batch))
    if isinstance(first, float):
        return tensor(batch, dtype=float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {name: default_collate([each[name] for each in batch]) for name in first}
    if isinstance(first, Sequence):
        if any(len(each) != len(first) for each in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        if isinstance(first, tuple) and hasattr(first, "_fields"):
            return type(first)(*columns)
        return columns
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or "
        f"lists; found {type(first)}"
    )


def default_convert(data: Any) -> Any:
    """An item that is not part of a batch: arrays as tensors, tuples as lists.

    >>> torch.utils.data.default_convert([np.array([0, 1]), "a", 2])
    [tensor([0, 1]), 'a', 2]
    """
    if isinstance(data, np.ndarray | np.number | np.bool_):
        is_text = isinstance(data, np.ndarray) and data.dtype.kind in "OSU"
        return data if is_text else as_tensor(data)
    if isinstance(data, Mapping):
        return {name: default_convert(value) for name, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, list | tuple):
        return [default_convert(value) for value in data]
    return data


def get_worker_info() -> None:
    """What a process that loads data knows of itself: None, as there is one process.

    >>> print(torch.utils.data.get_worker_info())
    None
    """


def _rows(dataset: Any, indices: Any) -> list[Tensor] | None:
    """The batch of rows of tensors, each gathered at once.

    None where a row may be more than that: where the data set is another one, or a
    gradient is wanted, or an index is wrong.
    """
    while type(dataset) is Subset and _are_within(indices, len(dataset.indices)):
        indices = [dataset.indices[k] for k in indices]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or not _are_within(indices, len(dataset)):
        return None
    if any(x._requires for x in dataset.tensors):
        return None
    return [make(x._array.take(indices, 0)) for x in dataset.tensors]


def _are_within(indices: Any, length: int) -> bool:
    """Whether indices are Python numbers that a sequence of a length has."""
    is_plain = set(map(type, indices)) == {int}
    return is_plain and -length <= min(indices) and max(indices) < length


def _items(dataset: Any, indices: Any) -> Any:
    """The items of a batch; a data set may give them all together."""
    together = getattr(dataset, "__getitems__", None)
    return together(indices) if together else [dataset[k] for k in indices]


class DataLoader:
    """Batches of a data set.

    Args:
        dataset: what can be indexed, or iterated.
        batch_size: items in a batch; None for items one by one.
        shuffle: whether the order is random, anew for each iteration.
        sampler: gives the indices.
        batch_sampler: gives lists of indices.
        num_workers: accepted, without effect: items are loaded in this process.
        collate_fn: makes a batch of a list of items.
        pin_memory: accepted, without effect.
        drop_last: leave out a last batch that is too small.
        generator: the source of random numbers.
        options: PyTorch's for workers, without effect.

    Raises:
        ValueError: options exclude each other.

    >>> data = torch.utils.data.TensorDataset(torch.arange(5))
    >>> [batch.tolist() for (batch,) in torch.utils.data.DataLoader(data, 2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Generator | None = None,
        **options: Any,
    ) -> None:
        self.dataset, self.num_workers = dataset, num_workers
        self.generator, self.drop_last = generator, drop_last
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream and shuffle:
            raise ValueError(
                "DataLoader with IterableDataset: expected unspecified shuffle option, "
                f"but got shuffle={shuffle}"
            )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, "
                    "shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually "
                "exclusive with drop_last"
            )
        if sampler is None and not self._is_stream:
            random = RandomSampler(dataset, generator=generator) if shuffle else None
            sampler = random or SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None and not self._is_stream:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.sampler = batch_size, sampler
        self.batch_sampler = batch_sampler
        is_batched = batch_size is not None or batch_sampler is not None
        standard = default_collate if is_batched else default_convert
        self.collate_fn = standard if collate_fn is None else collate_fn

    def __iter__(self) -> Iterator[Any]:
        if self._is_stream:
            yield from self._stream()
        elif self.batch_sampler is not None:
            for indices in self.batch_sampler:
                yield self._batch(indices)
        else:
            for index in self.sampler:
                yield self.collate_fn(self.dataset[index])

    def _batch(self, indices: Any) -> Any:
        if self.collate_fn is default_collate:
            rows = _rows(self.dataset, indices)
            if rows is not None:
                return rows
        return self.collate_fn(_items(self.dataset, indices))

    def _stream(self) -> Iterator[Any]:
        items = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, items)
            return
        while batch := list(itertools.islice(items, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def __len__(self) -> int:
        if self._is_stream:
            count = len(self.dataset)
            if self.batch_size is None:
                return count
            full = count // self.batch_size
            return full if self.drop_last else -(-count // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
