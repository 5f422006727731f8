"""Sequences of different lengths, packed: the steps of all, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

import fgrad.numpy
from fgrad.torch.nn.utils.padding import pad_sequence, unpad_sequence
from fgrad.torch.recording import one
from fgrad.torch.tensor import Array, Tensor, make

UNSORTED = (
    "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
    "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence "
    "to sidestep this requirement if you do not need ONNX exportability."
)


class _Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Packed):
    """The steps of sequences: of all the first, then of all that have one the second.

    Attributes:
        data: the steps, ``(sum of lengths, ...)``.
        batch_sizes: how many sequences have a first step, a second, and so on; int64.
        sorted_indices: the order of falling lengths that they are in, or None.
        unsorted_indices: where each sequence is in that order, or None.

    >>> sequences = [torch.tensor([1, 2, 3]), torch.tensor([4, 5])]
    >>> packed = nn.utils.rnn.pack_sequence(sequences)
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 5, 3]), tensor([2, 2, 1]))
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Any = None,
        sorted_indices: Any = None,
        unsorted_indices: Any = None,
    ) -> Self:
        """A packed sequence; `pack_sequence` and `pack_padded_sequence` make them."""
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            data, batch_sizes = data
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU: no."""
        return False

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with data of another dtype."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else type(self)(data, *self[1:])

    def cpu(self) -> PackedSequence:
        """The packed sequence itself."""
        return self

    def double(self) -> PackedSequence:
        """With data of float64."""
        return type(self)(self.data.double(), *self[1:])

    def float(self) -> PackedSequence:
        """With data of float32."""
        return type(self)(self.data.float(), *self[1:])

    def half(self) -> PackedSequence:
        """With data of float16."""
        return type(self)(self.data.half(), *self[1:])

    def long(self) -> PackedSequence:
        """With data of int64."""
        return type(self)(self.data.long(), *self[1:])

    def int(self) -> PackedSequence:
        """With data of int32."""
        return type(self)(self.data.int(), *self[1:])


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Where each number is in a permutation.

    >>> nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else make(np.argsort(permutation._array))


def rows_of(batch_sizes: Array) -> tuple[Array, Array]:
    """The steps and the sequences that the rows of packed data are of."""
    steps = np.repeat(np.arange(len(batch_sizes)), batch_sizes)
    starts = np.cumsum(batch_sizes) - batch_sizes
    return steps, np.arange(len(steps)) - starts[steps]


def lengths_of(batch_sizes: Array) -> Array:
    """The lengths of packed sequences, which fall."""
    count = int(batch_sizes[0])
    lengths: Array = np.sum(batch_sizes[:, None] > np.arange(count), axis=0)
    return lengths


def pack_padded_sequence(
    input: Tensor,
    lengths: Any,
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Padded sequences ``(length, batch, ...)`` without the padding.

    Args:
        input: the sequences.
        lengths: of each; a tensor or a list.
        batch_first: whether the first axis is the batch.
        enforce_sorted: the lengths fall; else they are put in that order.

    Raises:
        RuntimeError: the lengths do not fall, are not as many as the sequences, or one
            is not positive.

    >>> import fgrad.torch as torch
    >>> x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]])
    >>> packed = torch.nn.utils.rnn.pack_padded_sequence(x, [3, 1], batch_first=True)
    >>> packed.data, packed.batch_sizes
    (tensor([1., 4., 2., 3.]), tensor([2, 1, 1]))
    """
    given = lengths._array if isinstance(lengths, Tensor) else lengths
    counts = np.asarray(given, np.int64)
    x: Any = input.transpose(0, 1) if batch_first else input
    order = None
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
        counts = counts[order]
    if len(counts) != x._aval.shape[1]:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} "
            f"(batch_size={x._aval.shape[1]})"
        )
    if np.any(counts <= 0):
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in "
            "'lengths' that is <= 0"
        )
    if np.any(np.diff(counts) > 0):
        raise RuntimeError(UNSORTED)
    sizes = np.sum(counts > np.arange(counts[0])[:, None], axis=1)
    steps, sequences = rows_of(sizes)
    columns = sequences if order is None else order[sequences]
    data = one("PackPaddedSequenceBackward0", lambda u: u[steps, columns], x)
    return PackedSequence(data, make(sizes), None if order is None else make(order))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Packed sequences, padded to ``(length, batch, ...)``, and their lengths.

    Args:
        sequence: what `pack_padded_sequence` gave.
        batch_first: whether the first axis of the result is the batch.
        padding_value: what stands behind the shorter ones.
        total_length: the length of the result; that of the longest by default.

    Raises:
        ValueError: ``total_length`` is less than that.

    >>> sequences = [torch.tensor([1, 2, 3]), torch.tensor([4, 5])]
    >>> packed = nn.utils.rnn.pack_sequence(sequences)
    >>> nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2, 3],
            [4, 5, 0]]), tensor([3, 2]))
    """
    sizes = sequence.batch_sizes._array
    length = len(sizes) if total_length is None else total_length
    if length < len(sizes):
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence "
            f"in input, but got total_length={length} and max sequence length being "
            f"{len(sizes)}"
        )
    steps, sequences = rows_of(sizes)
    counts = lengths_of(sizes)
    order = sequence.sorted_indices
    if order is not None:
        sequences = order._array[sequences]
        counts = counts[sequence.unsorted_indices._array]
    shape = (length, len(counts), *sequence.data._aval.shape[1:])

    def compute(u: Any) -> Any:
        padded = fgrad.numpy.full(shape, padding_value, u.dtype)
        padded[steps, sequences] = u
        return np.swapaxes(padded, 0, 1) if batch_first else padded

    node = "TransposeBackward0" if batch_first else "CopySlices"
    if order is not None:
        node = "IndexSelectBackward0"
    return one(node, compute, sequence.data), make(counts)


def pack_sequence(
    sequences: Sequence[Tensor], enforce_sorted: bool = True
) -> PackedSequence:
    """Sequences ``(length, ...)``, packed; see `pack_padded_sequence`.

    >>> import fgrad.torch as torch
    >>> long, short = torch.tensor([1, 2, 3]), torch.tensor([4])
    >>> torch.nn.utils.rnn.pack_sequence([long, short]).data
    tensor([1, 4, 2, 3])
    """
    lengths = [len(x._array) for x in sequences]
    padded = pad_sequence(sequences)
    return pack_padded_sequence(padded, lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of which `pack_sequence` made one.

    >>> sequences = [torch.tensor([1, 2, 3]), torch.tensor([4, 5])]
    >>> packed = nn.utils.rnn.pack_sequence(sequences)
    >>> nn.utils.rnn.unpack_sequence(packed)
    [tensor([1, 2, 3]), tensor([4, 5])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
