"""Sums of products over named axes.

``subscripts`` is explicit: one letter for each axis, no ellipsis, and axes of length 1
do not broadcast (`fgrad.functions.einsum` resolves all that).
"""

import math
import string
from typing import Any

import numpy as np

from fgrad.caches import remembered
from fgrad.ir import Aval
from fgrad.ops.diagonal_jax import diagonal_jax
from fgrad.ops.index import scatter
from fgrad.ops.structure import broadcast_to, reshape
from fgrad.primitive import Primitive, Sample, linear
from fgrad.trace import type_of


def split(subscripts: str) -> tuple[list[str], str]:
    """The letters of each operand and of the result."""
    left, _, output = subscripts.partition("->")
    return left.split(","), output


def distinct(letters: str) -> str:
    """Each letter once, in order of first appearance."""
    return "".join(dict.fromkeys(letters))


def lengths(inputs: list[str], shapes: list[tuple[int, ...]]) -> dict[str, int]:
    """The length of the axes of each letter.

    Raises:
        ValueError: the axes of one letter differ, or letters and axes do in number.
    """
    sizes: dict[str, int] = {}
    for letters, shape in zip(inputs, shapes, strict=True):
        if len(letters) != len(shape):
            raise ValueError(f"{letters!r} does not name the axes of shape {shape}")
        for letter, length in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, length) != length:
                raise ValueError(
                    f"axes named {letter!r} have lengths {sizes[letter]} and {length}"
                )
    return sizes


def _einsum_aval(*operands: Aval, subscripts: str) -> Aval:
    inputs, output = split(subscripts)
    sizes = lengths(inputs, [x.shape for x in operands])
    dtype = np.result_type(*(x.numpy_dtype for x in operands))
    return Aval([sizes[letter] for letter in output], dtype)


@remembered(4096)
def _as_product(subscripts: str) -> dict[str, Any] | None:
    """How two operands are contracted by one ``matmul``; None where that is no gain.

    Keywords of `einsum_product`.
    """
    (x, y), output = split(subscripts)
    free = [c for c in output if (c in x) != (c in y)]
    swap = bool(free) and free[0] in y
    if swap:
        x, y = y, x
    rows = "".join(c for c in distinct(x) if c in output and c not in y)
    columns = "".join(c for c in distinct(y) if c in output and c not in x)
    batch = "".join(c for c in distinct(x) if c in output and c in y)
    inner = "".join(c for c in distinct(x) if c not in output and c in y)
    if not inner or (batch and not rows and not columns):
        return None
    wanted = (batch + rows + inner, batch + inner + columns)
    alone: list[str | None] = []
    axes = []
    for letters, kept in zip((x, y), wanted, strict=True):
        reduced = "".join(c for c in distinct(letters) if c in kept)
        alone.append(None if reduced == letters else f"{letters}->{reduced}")
        axes.append(tuple(reduced.index(c) for c in kept))
    found = batch + rows + columns
    return {
        "subscripts": subscripts,
        "swap": swap,
        "alone": tuple(alone),
        "axes": tuple(axes),
        "counts": (len(batch), len(rows), len(columns), len(inner)),
        "order": tuple(found.index(c) for c in output),
    }


def einsum_product(
    x: Any,
    y: Any,
    *,
    subscripts: str,
    swap: bool,
    alone: tuple[str | None, str | None],
    axes: tuple[tuple[int, ...], tuple[int, ...]],
    counts: tuple[int, int, int, int],
    order: tuple[int, ...],
) -> Any:
    """``np.einsum`` of two operands by one ``matmul``, if BLAS knows their dtype.

    Args:
        x, y: the operands.
        subscripts: those of the whole.
        swap: the second operand gives the rows, so that the result needs no transpose.
        alone: for each operand the einsum that sums what is in this operand only and
            takes diagonals, or None.
        axes: for each operand the order of axes (batch, free, summed), the second's
            (batch, summed, free).
        counts: numbers of batch axes, of free axes of each operand, of summed axes.
        order: the order of the axes of (batch, rows, columns) in the result.
    """
    dtype = np.result_type(x, y)
    if dtype.char not in "fdFD":
        return np.einsum(subscripts, x, y)
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    if swap:
        x, y = y, x
    x = x if alone[0] is None else np.einsum(alone[0], x)
    y = y if alone[1] is None else np.einsum(alone[1], y)
    x, y = x.transpose(axes[0]), y.transpose(axes[1])
    n_batch, n_rows, n_columns, n_inner = counts
    batch, rows = x.shape[:n_batch], x.shape[n_batch : n_batch + n_rows]
    columns = y.shape[n_batch + n_inner :]
    inner = math.prod(y.shape[n_batch : n_batch + n_inner])
    if n_rows:
        x = x.reshape((*batch, math.prod(rows), inner))
    elif not n_batch:
        x = x.reshape((inner,))
    else:
        x = x.reshape((*batch, 1, inner))
    flat = (*batch, inner, math.prod(columns)) if n_columns or n_batch else (inner,)
    product = np.matmul(x, y.reshape(flat))
    return product.reshape(batch + rows + columns).transpose(order)[()]


def plain_einsum(*operands: Any, subscripts: str) -> Any:
    """``np.einsum``, whose result shares no memory with its operands."""
    if len(operands) > 2:
        return np.einsum(subscripts, *operands, optimize=True)[()]
    out = np.einsum(subscripts, *operands)
    if len(operands) == 1 and np.may_share_memory(out, operands[0]):
        return out.copy()[()]
    return out


def _einsum_runs(*, subscripts: str) -> tuple[Any, dict[str, Any]]:
    """Through BLAS where two operands are contracted."""
    plan = _as_product(subscripts) if len(split(subscripts)[0]) == 2 else None
    return (
        (plain_einsum, {"subscripts": subscripts})
        if plan is None
        else (einsum_product, plan)
    )


def _einsum_numpy(*operands: Any, subscripts: str) -> Any:
    function, keywords = _einsum_runs(subscripts=subscripts)
    return function(*operands, **keywords)


def _einsum_jax(xla: Any, *operands: Any, subscripts: str) -> Any:
    arrays = xla.cast_all(*operands)
    inputs, output = split(subscripts)
    if not _is_contraction(inputs, output) or arrays[0].dtype == bool:
        return xla.np.einsum(subscripts, *arrays)
    return _contracted(xla.lax, arrays, inputs, output)


def _is_contraction(inputs: list[str], output: str) -> bool:
    """Whether it is a product of two arrays over axes that both have."""
    if len(inputs) != 2 or any(distinct(letters) != letters for letters in inputs):
        return False
    x, y = map(set, inputs)
    return x ^ y <= set(output)


def _contracted(lax: Any, arrays: Any, inputs: list[str], output: str) -> Any:
    """The product of two arrays by the one operation that XLA has for it."""
    shared = [c for c in inputs[0] if c in inputs[1]]
    inner = [c for c in shared if c not in output]
    batch = [c for c in shared if c in output]

    def axes(letters: list[str]) -> Any:
        return tuple(tuple(map(own.index, letters)) for own in inputs)

    product = lax.dot_general(*arrays, (axes(inner), axes(batch)))
    found = "".join([*batch, *(c for own in inputs for c in own if c not in shared)])
    return lax.transpose(product, tuple(map(found.index, output)))


def _einsum_transpose(ct: Any, *operands: Any, subscripts: str) -> Any:
    inputs, output = split(subscripts)
    return tuple(
        _cotangent(ct, operands, position, inputs, output)
        for position in range(len(operands))
    )


def _cotangent(
    ct: Any, operands: tuple[Any, ...], position: int, inputs: list[str], output: str
) -> Any:
    """The product of ``ct`` with the other operands, in the axes of this one.

    Axes that only this operand has were summed: the cotangent is constant along them.
    Axes that it has twice were a diagonal: the cotangent is zero off the diagonal.
    """
    letters, shape = inputs[position], type_of(operands[position]).shape
    rest = [k for k in range(len(operands)) if k != position]
    terms = [output, *(inputs[k] for k in rest)]
    known = set("".join(terms))
    reached = "".join(c for c in distinct(letters) if c in known)
    if rest or output != reached:
        joined = f"{','.join(terms)}->{reached}"
        ct = einsum(ct, *(operands[k] for k in rest), subscripts=joined)
    sizes = dict(zip(letters, shape, strict=True))
    if len(reached) < len(sizes):
        thin = tuple(sizes[c] if c in known else 1 for c in sizes)
        ct = broadcast_to(reshape(ct, shape=thin), shape=tuple(sizes.values()))
    return ct if len(sizes) == len(letters) else _on_diagonal(ct, letters, shape)


def _on_diagonal(x: Any, letters: str, shape: tuple[int, ...]) -> Any:
    """Zeros of a shape, with ``x`` on the diagonal that equal letters name."""
    step = ("diagonal", (("subscripts", f"{letters}->{distinct(letters)}"),))
    dtype = type_of(x).dtype.name
    return scatter(x, shape=shape, dtype=dtype, at=((None, None, None),), path=(step,))


def _random(*shape: int, dtype: str = "float64") -> Any:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(dtype)


def _einsum_samples() -> list[Sample]:
    sizes = {"a": 2, "b": 3, "c": 4, "d": 2, "e": 1}
    texts = [
        "ab,bc->ac",
        "ab,bc->ca",
        "dab,dbc->dac",
        "abc,dcb->ad",
        "ab,cb->",
        "ab,ab->a",
        "a,b->ab",
        "ab,c->b",
        "abb,bc->ac",
        "aab,bc->ba",
        "abc->b",
        "aba->",
        "abc->ca",
        ",ab->ba",
        "e,be->eb",
        "ab,bc,cd->ad",
        "ab,ab,b->a",
    ]
    samples = []
    for text in texts:
        shapes = [tuple(sizes[c] for c in letters) for letters in split(text)[0]]
        operands = tuple(_random(*shape) for shape in shapes)
        samples.append(Sample(operands, {"subscripts": text}))
    mixed = (_random(2, 3, dtype="float32"), _random(3, 2) + 1j)
    samples.append(Sample(mixed, {"subscripts": "ab,bc->ac"}))
    single = (_random(2, 3, dtype="float32"), _random(3, dtype="float32"))
    return [*samples, Sample(single, {"subscripts": "ab,b->a"})]


def _fresh_letter(subscripts: str) -> str:
    """A letter for the batch."""
    return next(c for c in string.ascii_letters if c not in subscripts)


def _einsum_batch(size: int, mapped: Any, *operands: Any, subscripts: str) -> Any:
    inputs, output = split(subscripts)
    letter = _fresh_letter(subscripts)
    terms = [letter + x if m else x for x, m in zip(inputs, mapped, strict=True)]
    return einsum(*operands, subscripts=f"{','.join(terms)}->{letter}{output}")


def _diagonal_batch_params(size: int, *, subscripts: str) -> dict[str, Any]:
    (letters,), output = split(subscripts)
    letter = _fresh_letter(subscripts)
    return {"subscripts": f"{letter}{letters}->{letter}{output}"}


einsum = Primitive(
    "einsum",
    _einsum_numpy,
    _einsum_aval,
    runs=_einsum_runs,
    linear="each",
    transpose=_einsum_transpose,
    batch=_einsum_batch,
    jax=_einsum_jax,
    samples=_einsum_samples,
)


def _diagonal_transpose(ct: Any, x: Any, *, subscripts: str) -> Any:
    (letters,), _ = split(subscripts)
    return (_on_diagonal(ct, letters, type_of(x).shape),)


# The elements at which axes of equal letters have equal indices: a view.
diagonal = linear(
    "diagonal",
    lambda x, *, subscripts: np.einsum(subscripts, x),
    _einsum_aval,
    _diagonal_transpose,
    moves=True,
    batch_params=_diagonal_batch_params,
    jax=diagonal_jax,
    view_step=lambda out, x, operands, params: ("diagonal", tuple(params.items())),
    expression="np.einsum({subscripts!r}, {0})",
    samples=lambda: [
        Sample((_random(3, 3),), {"subscripts": "aa->a"}),
        Sample((_random(2, 3, 2, 3),), {"subscripts": "abab->ab"}),
        Sample((_random(3, 2, 3, dtype="float32"),), {"subscripts": "aba->ab"}),
        Sample((_random(2, 3, 3) + 1j,), {"subscripts": "abb->ab"}),
    ],
)
