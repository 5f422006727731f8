"""``np.einsum`` and what it is the simplest form of: products of vectors and of chains.

Subscripts are made explicit, and products are taken two at a time.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgrad.caches import remembered
from fgrad.functions.protocol import cast, implements, written
from fgrad.functions.shape import moveaxis
from fgrad.ops.contract import matmul
from fgrad.ops.einsum import diagonal, distinct, lengths, split
from fgrad.ops.einsum import einsum as einsum_
from fgrad.ops.elementwise import conjugate
from fgrad.ops.structure import reshape
from fgrad.ops.structure import transpose as transpose_
from fgrad.trace import as_operand, type_of

Shape = tuple[int, ...]
LETTERS = string.ascii_uppercase + string.ascii_lowercase


def _text_of_lists(items: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """``a, [0, 1], b, [1, 2], [0, 2]`` as subscripts and operands."""
    operands, lists = list(items[0::2]), list(items[1::2])
    output = None
    if len(items) % 2:
        output = operands.pop()
    numbers = [n for row in [*lists, output or []] for n in row if n is not Ellipsis]
    letters = string.ascii_lowercase if max(numbers, default=0) < 26 else LETTERS
    if any(not 0 <= n < len(letters) for n in numbers):
        raise ValueError("a subscript is not within the valid range [0, 52)")

    def text(row: Any) -> str:
        return "".join("..." if n is Ellipsis else letters[n] for n in row)

    joined = ",".join(map(text, lists))
    return joined if output is None else f"{joined}->{text(output)}", operands


def _explicit(subscripts: str, ndims: tuple[int, ...]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with ellipses resolved.

    Raises:
        ValueError: as NumPy does for malformed subscripts.
    """
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    terms = left.split(",")
    strange = set(text.replace("...", "").replace("->", "")) - set(LETTERS + ",")
    if strange or "," in output:
        raise ValueError(f"invalid subscripts in einstein sum: {subscripts!r}")
    if len(terms) != len(ndims):
        raise ValueError(
            f"einstein sum subscripts {subscripts!r} are for {len(terms)} operands, "
            f"got {len(ndims)}"
        )
    spread = [n - len(t.replace("...", "")) for t, n in zip(terms, ndims, strict=True)]
    if any(n < 0 or (n and "..." not in t) for t, n in zip(terms, spread, strict=True)):
        raise ValueError(
            f"einstein sum subscripts {subscripts!r} do not fit operands with "
            f"{', '.join(map(str, ndims))} axes; an ellipsis '...' broadcasts"
        )
    unused = [c for c in reversed(string.ascii_letters) if c not in text]
    dots = "".join(unused[: max(spread)][::-1])
    inputs = [
        term.replace("...", dots[len(dots) - n :])
        for term, n in zip(terms, spread, strict=True)
    ]
    if arrow:
        if dots and "..." not in output:
            raise ValueError(
                "the output of an einstein sum has more axes than subscripts, and no "
                f"'...' for them: {subscripts!r}"
            )
        return inputs, _checked(output.replace("...", dots), inputs)
    named = left.replace("...", "").replace(",", "")
    once = sorted(c for c in set(named) if named.count(c) == 1)
    return inputs, dots + "".join(once)


def _checked(output: str, inputs: list[str]) -> str:
    if len(distinct(output)) < len(output):
        raise ValueError(f"einstein sum output {output!r} has a subscript twice")
    unknown = set(output) - set("".join(inputs))
    if unknown:
        raise ValueError(f"einstein sum output {min(unknown)!r} never is in an input")
    return output


@dataclass(frozen=True)
class _Plan:
    """What to do with operands of given shapes.

    Attributes:
        shapes: for each operand its shape without axes of length 1 that are broadcast,
            or None where it has none.
        steps: positions of the operands that are taken out, and the subscripts of their
            product, which is put at the end.
    """

    shapes: tuple[Shape | None, ...]
    steps: tuple[tuple[tuple[int, ...], str], ...]


@remembered(4096)
def _plan(subscripts: str, shapes: tuple[Shape, ...], optimize: Any) -> _Plan:
    inputs, output = _explicit(subscripts, tuple(map(len, shapes)))
    sizes: dict[str, int] = {}
    for letters, shape in zip(inputs, shapes, strict=True):
        lengths([letters], [shape])  # a diagonal does not broadcast
        for letter, length in zip(letters, shape, strict=True):
            sizes[letter] = length if sizes.get(letter, 1) == 1 else sizes[letter]
    thin: list[Shape | None] = []
    terms = []
    for letters, shape in zip(inputs, shapes, strict=True):
        kept = [k for k, c in enumerate(letters) if shape[k] != 1 or sizes[c] == 1]
        terms.append("".join(letters[k] for k in kept))
        whole = len(kept) == len(shape)
        thin.append(None if whole else tuple(shape[k] for k in kept))
    lengths(terms, [s if t is None else t for s, t in zip(shapes, thin, strict=True)])
    return _Plan(tuple(thin), _pairwise(terms, output, sizes, optimize))


def _pairwise(
    terms: list[str], output: str, sizes: dict[str, int], optimize: Any
) -> tuple[tuple[tuple[int, ...], str], ...]:
    """The products along NumPy's contraction path."""
    path: list[tuple[int, ...]] = [tuple(range(len(terms)))]
    if len(terms) > 2:
        dummies = [np.broadcast_to(np.int8(0), [sizes[c] for c in t]) for t in terms]
        joined = f"{','.join(terms)}->{output}"
        given = list(optimize) if isinstance(optimize, tuple) else optimize
        found: Any = np.einsum_path(joined, *dummies, optimize=given or "greedy")
        path = found[0][1:]
    steps = []
    for number, positions in enumerate(path):
        taken = [terms[k] for k in sorted(positions)]
        terms = [t for k, t in enumerate(terms) if k not in positions]
        if number == len(path) - 1:
            result = output
        else:
            needed = set(output).union(*terms)
            result = "".join(c for c in distinct("".join(taken)) if c in needed)
        terms.append(result)
        steps.append((tuple(sorted(positions)), f"{','.join(taken)}->{result}"))
    return tuple(steps)


def _product(operands: list[Any], subscripts: str) -> Any:
    """One product; a single operand whose axes are only rearranged gives a view."""
    if len(operands) > 1:
        return einsum_(*operands, subscripts=subscripts)
    (letters,), output = split(subscripts)
    unique = distinct(letters)
    if not letters or set(output) != set(unique):
        return einsum_(*operands, subscripts=subscripts)
    (x,) = operands
    if unique != letters:
        x = diagonal(x, subscripts=f"{letters}->{unique}")
    return transpose_(x, axes=tuple(unique.index(c) for c in output))


def _hashable(optimize: Any) -> Any:
    if isinstance(optimize, list | tuple):
        return tuple(map(_hashable, optimize))
    return optimize


def _parse(items: tuple[Any, ...]) -> tuple[str, list[Any]]:
    if isinstance(items[0], str):
        return items[0], list(items[1:])
    return _text_of_lists(items)


@implements(np.einsum)
def einsum(
    *items: Any,
    out: Any = None,
    dtype: Any = None,
    order: Any = "K",
    casting: Any = "safe",
    optimize: Any = False,
) -> Any:
    """Sums of products over named axes, as ``np.einsum``.

    Args:
        items: subscripts and operands, or operands each followed by a list of axes.
        out: a traced array to write the result into.
        dtype: the operands are converted to it first.
        order: has no influence.
        casting: what the conversion may do.
        optimize: the path for three operands and more, by default ``"greedy"``:
            products are taken two at a time, so that gradients share partial products.

    Raises:
        ValueError: subscripts that are malformed or do not fit the operands.
        TypeError: ``casting`` forbids the conversion to ``dtype``.

    >>> import numpy as np, fgrad
    >>> fgrad.grad(lambda a: np.einsum("ii->", a))(np.ones((2, 2)))
    array([[1., 0.],
           [0., 1.]])
    """
    subscripts, given = _parse(items)
    operands = [_as_array(as_operand(x)) for x in given]
    if dtype is not None:
        for x in operands:
            if not np.can_cast(type_of(x).numpy_dtype, dtype, casting):
                raise TypeError(f"einsum cannot cast {type_of(x)} to {np.dtype(dtype)}")
        operands = [cast(x, dtype) for x in operands]
    shapes = tuple(type_of(x).shape for x in operands)
    plan = _plan(subscripts, shapes, _hashable(optimize))
    operands = [
        x if shape is None else reshape(x, shape=shape)
        for x, shape in zip(operands, plan.shapes, strict=True)
    ]
    for positions, step in plan.steps:
        taken = [operands[k] for k in positions]
        operands = [x for k, x in enumerate(operands) if k not in positions]
        operands.append(_product(taken, step))
    return written(operands[0], out)


def _as_array(x: Any) -> Any:
    """A Python number as the NumPy scalar that it promotes like in ``np.einsum``."""
    return np.asarray(x)[()] if type_of(x).is_python else x


@implements(np.einsum_path)
def einsum_path(*items: Any, optimize: Any = "greedy") -> Any:
    """The contraction path of ``np.einsum``; it depends on shapes only."""
    subscripts, operands = _parse(items)
    shapes = [type_of(as_operand(x)).shape for x in operands]
    dummies = [np.broadcast_to(np.int8(0), shape) for shape in shapes]
    return np.einsum_path(subscripts, *dummies, optimize=optimize)


def _conjugate(x: Any) -> Any:
    x = as_operand(x)
    return conjugate(x) if type_of(x).is_complex else x


@implements(np.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Products of vectors along an axis, the first conjugated."""
    x1, x2 = _conjugate(x1), as_operand(x2)
    if axis != -1:
        x1, x2 = moveaxis(x1, axis, -1), moveaxis(x2, axis, -1)
    return einsum("...i,...i->...", x1, x2)


def matvec(x1: Any, x2: Any, /) -> Any:
    """Products of matrices and vectors."""
    return einsum("...ij,...j->...i", x1, x2)


def vecmat(x1: Any, x2: Any, /) -> Any:
    """Products of vectors, conjugated, and matrices."""
    return einsum("...i,...ij->...j", _conjugate(x1), x2)


if hasattr(np, "matvec"):  # since NumPy 2.2
    implements(np.matvec)(matvec)
    implements(np.vecmat)(vecmat)


def multi_dot(arrays: Sequence[Any], *, out: Any = None) -> Any:
    """The product of a chain of matrices, in the cheapest order (``np.linalg``)."""
    factors = [as_operand(x) for x in arrays]
    ndims = [type_of(x).ndim for x in factors]
    if len(factors) < 2:
        raise ValueError("Expecting at least two arrays.")
    if any(n != 2 for n in ndims[1:-1]) or not {ndims[0], ndims[-1]} <= {1, 2}:
        raise np.linalg.LinAlgError(
            f"arrays must have two axes, the first and last may have one, got {ndims}"
        )
    first, last = type_of(factors[0]).shape, type_of(factors[-1]).shape
    if len(first) == 1:
        factors[0] = reshape(factors[0], shape=(1, *first))
    if len(last) == 1:
        factors[-1] = reshape(factors[-1], shape=(*last, 1))
    sizes = [type_of(x).shape[0] for x in factors] + [type_of(factors[-1]).shape[1]]
    product = _multiply_chain(factors, _cheapest_splits(sizes), 0, len(factors) - 1)
    shape = first[:-1] + last[1:]
    if not shape:
        product = product[0, 0]
    elif type_of(product).shape != shape:
        product = reshape(product, shape=shape)
    return written(product, out)


def _cheapest_splits(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each part of a chain; factor k is sizes[k] x sizes[k + 1].

    T. Cormen et al., "Introduction to Algorithms", section 15.2.
    """
    count = len(sizes) - 1
    costs = {(k, k): 0 for k in range(count)}
    splits = {}
    for length in range(1, count):
        for start in range(count - length):
            stop = start + length
            totals = [
                costs[start, k]
                + costs[k + 1, stop]
                + sizes[start] * sizes[k + 1] * sizes[stop + 1]
                for k in range(start, stop)
            ]
            costs[start, stop] = min(totals)
            splits[start, stop] = start + totals.index(min(totals))
    return splits


def _multiply_chain(
    factors: list[Any], splits: dict[tuple[int, int], int], start: int, stop: int
) -> Any:
    if start == stop:
        return factors[start]
    split_at = splits[start, stop]
    left = _multiply_chain(factors, splits, start, split_at)
    return matmul(left, _multiply_chain(factors, splits, split_at + 1, stop))
