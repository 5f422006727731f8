"""Diagonals on jax arrays: the elements at which axes of equal letters have equal
indices, by slices and selections, which XLA fuses and compiles in less time than
gathers and scatters.
"""

from typing import Any

import numpy as np


def diagonal_jax(xla: Any, x: Any, *, subscripts: str) -> Any:
    """The axes of equal letters joined into one, of which every (n + 1)-th element is
    on the diagonal.
    """
    letters, _, output = subscripts.partition("->")
    for letter in sorted({c for c in letters if letters.count(c) > 1}):
        rest = [k for k, c in enumerate(letters) if c != letter]
        same = [k for k, c in enumerate(letters) if c == letter]
        kept = tuple(x.shape[k] for k in rest)
        length, count = x.shape[same[0]], len(same)
        x = xla.lax.transpose(x, (*rest, *same)).reshape((*kept, length**count))
        step = sum(length**k for k in range(count))
        x = xla.lax.slice_in_dim(x, 0, length**count, step, axis=len(kept))
        letters = "".join(letters[k] for k in rest) + letter
    return xla.lax.transpose(x, tuple(letters.index(c) for c in output))


def with_diagonal(xla: Any, x: Any, v: Any, *, subscripts: str) -> Any:
    """``x``, an array or a number for all elements, with others on a diagonal."""
    letters, _, output = subscripts.partition("->")
    distinct = "".join(dict.fromkeys(letters))
    sizes = dict(zip(output, v.shape, strict=True))
    shape = tuple(sizes[c] for c in letters)
    v = xla.lax.transpose(v, tuple(output.index(c) for c in distinct))
    v = xla.lax.broadcast_in_dim(v, shape, tuple(letters.index(c) for c in distinct))
    is_chosen = True
    for axis, letter in enumerate(letters):
        first = letters.index(letter)
        if first != axis:
            one, other = (
                xla.lax.broadcasted_iota(np.int32, shape, k) for k in (first, axis)
            )
            is_chosen &= xla.lax.eq(one, other)
    return xla.np.where(is_chosen, v, x)
