"""Sequences of different lengths in one tensor, padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgrad.torch.joining import cat, stack
from fgrad.torch.tensor import Tensor

__all__ = ["pad_sequence", "unpad_sequence"]


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences in one tensor, ``(length, batch, ...)``, padded at the end.

    >>> import fgrad.torch as torch
    >>> short, long = torch.ones(1), torch.ones(3)
    >>> torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True)
    tensor([[1., 0., 0.],
            [1., 1., 1.]])
    """
    longest = max(len(x._array) for x in sequences)
    rows = []
    for each in sequences:
        x: Any = each
        missing = longest - len(x._array)
        filling = x.new_full((missing, *x._aval.shape[1:]), padding_value)
        pair = [x, filling] if padding_side == "right" else [filling, x]
        rows.append(cat(pair) if missing else x)
    return stack(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of which `pad_sequence` made one tensor: a list.

    >>> x = torch.tensor([[1.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    >>> nn.utils.rnn.unpad_sequence(x, torch.tensor([1, 3]), batch_first=True)
    [tensor([1.]), tensor([1., 2., 3.])]
    """
    x: Any = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[k, :length] for k, length in enumerate(lengths.tolist())]
