"""Samplers: the order in which items are taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

from fgrad.torch.creation import as_tensor
from fgrad.torch.dtypes import float64
from fgrad.torch.random import Generator, multinomial, randint, randperm


class Sampler:
    """The base: a subclass defines ``__iter__``, which gives indices.

    >>> class Reversed(torch.utils.data.Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> list(torch.utils.data.DataLoader("abc", sampler=Reversed()))
    [['c'], ['b'], ['a']]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class SequentialSampler(Sampler):
    """All items in order.

    >>> list(torch.utils.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Items by chance: each once, or with replacement.

    Raises:
        ValueError: ``num_samples`` is not positive.

    >>> sorted(torch.utils.data.RandomSampler("abc"))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if num_samples is not None and num_samples <= 0:
            raise ValueError(
                "num_samples should be a positive integer value, but got num_samples="
                f"{num_samples}"
            )
        self.data_source, self.replacement = data_source, replacement
        self._count, self.generator = num_samples, generator

    @property
    def num_samples(self) -> int:
        """How many items are taken."""
        return len(self.data_source) if self._count is None else self._count

    def __iter__(self) -> Iterator[int]:
        total, count = len(self.data_source), self.num_samples
        if self.replacement:
            draws = randint(total, (count,), generator=self.generator)
            yield from draws._array.tolist()
            return
        while count > 0:
            order = randperm(total, generator=self.generator)._array.tolist()
            yield from order[:count]
            count -= total

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """Given items in random order.

    >>> sorted(torch.utils.data.SubsetRandomSampler([5, 3, 8]))
    [3, 5, 8]
    """

    def __init__(
        self, indices: Sequence[int], generator: Generator | None = None
    ) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        order = randperm(len(self.indices), generator=self.generator)
        return (self.indices[k] for k in order._array.tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Items by chance, with given weights, which need not sum to 1.

    >>> list(torch.utils.data.WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights = as_tensor(weights, dtype=float64)
        self.num_samples, self.replacement = num_samples, replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        rest = (self.num_samples, self.replacement)
        draws = multinomial(self.weights, *rest, generator=self.generator)
        return iter(draws._array.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """The indices of another sampler in lists of a size.

    Raises:
        ValueError: ``batch_size`` is no positive integer.

    >>> list(torch.utils.data.BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, sampler: Iterable[Any], batch_size: int, drop_last: bool
    ) -> None:
        if not isinstance(batch_size, int) or batch_size <= 0:
            raise ValueError(
                "batch_size should be a positive integer value, but got batch_size="
                f"{batch_size}"
            )
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        full = count // self.batch_size
        return full if self.drop_last else -(-count // self.batch_size)
