"""Rules for sums: signs and factors leave them, products become dots.

All but the sign add terms in another order, or round a product elsewhere, so results
agree to rounding: 2 units in the last place for each term. What is finite stays so, but
for sums that leave the range of the type, and what is not stays so, but an infinity may
become a NaN and the other way round.
"""

from fgrad.ir import Atom, Aval, Eqn, Lit, Var
from fgrad.rewrites.facts import (
    Facts,
    Outcome,
    Rules,
    apply,
    finish,
    is_blas,
    is_scale,
    reshaped,
)
from fgrad.rewrites.products import swapped

LARGE = 1 << 16  # elements of a product that ``einsum`` sums without writing it out
LONGEST = 1 << 14  # summed elements of a row up to which ones serve, as NumPy adds
LONGEST_SINGLE = 1024  # them pairwise; of single precision
LARGEST = 1 << 22  # elements from which a sum over columns waits for memory anyway
LEAST = 64  # elements of a matrix of a batch: less is all overhead
DEPTH = 4  # nested sums that are taken apart
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _axis(eqn: Eqn) -> tuple[int, ...]:
    axis: tuple[int, ...] = dict(eqn.params)["axis"]
    return axis


def sum_of_one(eqn: Eqn, facts: Facts) -> Outcome:
    """A sum over axes of length one: a reshape."""
    (x,) = eqn.ins
    aval = eqn.outs[0].aval
    if not aval.ndim or any(x.aval.shape[k] != 1 for k in _axis(eqn)):
        return None
    if x.aval.dtype != aval.dtype:
        return None
    _, new = apply("reshape", (x,), eqn.site, shape=aval.shape)
    return finish([new], eqn)


def sum_of_negative(eqn: Eqn, facts: Facts) -> Outcome:
    """``sum(-x)`` as ``-sum(x)``."""
    negative = facts.before(eqn.ins[0], "negative")
    if negative is None or not eqn.outs[0].aval.is_inexact:
        return None
    total, new = apply("sum", negative.ins, eqn.site, axis=_axis(eqn))
    _, sign = apply("negative", (total,), negative.site)
    return finish([new, sign], eqn)


def sum_of_multiple(eqn: Eqn, facts: Facts) -> Outcome:
    """``sum(c * x)`` as ``c * sum(x)`` for a c that is constant along summed axes.

    Where the product is needed elsewhere, only if the sum of x is known already.
    """
    atom = eqn.ins[0]
    facts.sums.add((atom, _axis(eqn)))
    product = facts.source.get(atom)
    if product is None or product.prim.name not in ("multiply", "divide"):
        return None
    if not is_blas(atom.aval):
        return None
    first, second = product.ins
    orders = [(second, first)]
    if product.prim.name == "multiply":
        orders.append((first, second))
    for factor, x in orders:
        found = _without_factor(eqn, product, factor, x, facts)
        if found is not None:
            return found
    return None


def _without_factor(
    eqn: Eqn, product: Eqn, factor: Atom, x: Atom, facts: Facts
) -> Outcome:
    aval = eqn.ins[0].aval
    if type(x) is not Var or x.aval is not aval or not _is_pulled(factor):
        return None
    axis = _axis(eqn)
    own = (1,) * (aval.ndim - factor.aval.ndim) + factor.aval.shape
    if any(own[k] != 1 for k in axis) or x is factor:
        return None
    if facts.uses[eqn.ins[0]] > 1 and (x, axis) not in facts.sums:
        return None
    total, new = apply("sum", (x,), eqn.site, axis=axis)
    eqns = [new]
    if factor.aval.ndim:
        shape = tuple(n for k, n in enumerate(own) if k not in axis)
        while len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]
        factor = reshaped(factor, shape, eqns, eqn.site)
    ins = (total, factor) if product.ins[1] is not x else (factor, total)
    _, last = apply(product.prim.name, ins, product.site)
    return finish([*eqns, last], eqn)


def _is_pulled(factor: Atom) -> bool:
    if type(factor) is not Lit:
        return True
    return is_scale(factor)


def _factors(atom: Atom, facts: Facts) -> tuple[Atom, Atom] | None:
    """The operands of a product or a square that nothing else reads."""
    eqn = facts.before(atom, "multiply", "square")
    if eqn is None:
        return None
    x, y = (eqn.ins[0], eqn.ins[-1])
    return (x, y) if is_blas(x.aval, y.aval, atom.aval) else None


def _is_dot(atom: Atom, facts: Facts) -> bool:
    """Whether the sum of all elements of an array is a dot product."""
    found = _factors(atom, facts)
    return found is not None and found[0].aval is atom.aval is found[1].aval


def sum_of_product(eqn: Eqn, facts: Facts) -> Outcome:
    """``sum(a * b)`` over all axes as a dot product of vectors."""
    (x,) = eqn.ins
    if eqn.outs[0].aval.ndim or not x.aval.size or not _is_dot(x, facts):
        return None
    found = _factors(x, facts)
    assert found is not None
    eqns: list[Eqn] = []
    flat = (x.aval.size,)
    first = reshaped(found[0], flat, eqns, eqn.site)
    second = first
    if found[1] is not found[0]:
        second = reshaped(found[1], flat, eqns, eqn.site)
    _, dot = apply("matmul", (first, second), eqn.site)
    return finish([*eqns, dot], eqn)


def sum_of_sum(eqn: Eqn, facts: Facts) -> Outcome:
    """``sum(a * b + c * d)`` over all axes as the sum of two dot products."""
    (x,) = eqn.ins
    both = facts.before(x, "add", "subtract")
    if both is None or eqn.outs[0].aval.ndim or not _splits(x, facts, DEPTH):
        return None
    axis = _axis(eqn)
    first, one = apply("sum", (both.ins[0],), eqn.site, axis=axis)
    second, other = apply("sum", (both.ins[1],), eqn.site, axis=axis)
    _, last = apply(both.prim.name, (first, second), both.site)
    return finish([one, other, last], eqn)


def _splits(atom: Atom, facts: Facts, depth: int) -> bool:
    """Whether the sum of an array comes apart into dot products."""
    if _is_dot(atom, facts):
        return True
    eqn = facts.before(atom, "add", "subtract", "multiply", "divide", "negative")
    if eqn is None or not depth:
        return False
    parts = [x for x in eqn.ins if x.aval is atom.aval]
    if eqn.prim.name in ("multiply", "divide"):
        numbers = [x for x in eqn.ins if is_scale(x)]
        is_scaled = len(parts) == len(numbers) == 1
        if not is_scaled or (eqn.prim.name == "divide" and is_scale(eqn.ins[0])):
            return False
    elif len(parts) != len(eqn.ins):
        return False
    return all(_splits(part, facts, depth - 1) for part in parts)


def sum_with_vector(eqn: Eqn, facts: Facts) -> Outcome:
    """``sum(a * v)`` over the axis along which a vector v varies as ``a @ v``."""
    (x,) = eqn.ins
    found = _factors(x, facts)
    axis = _axis(eqn)
    if found is None or x.aval.ndim < 2 or len(axis) != 1 or found[0] is found[1]:
        return None
    from_end = axis[0] - x.aval.ndim
    length = x.aval.shape[from_end]
    shapes = {-1: (length,), -2: (length, 1)}
    for a, v in (found, found[::-1]):
        if a.aval is not x.aval or v.aval.shape != shapes.get(from_end):
            continue
        eqns: list[Eqn] = []
        v = reshaped(v, (length,), eqns, eqn.site)
        _, new = apply("matmul", (a, v) if from_end == -1 else (v, a), eqn.site)
        return finish([*eqns, new], eqn)
    return None


def large_sum_of_product(eqn: Eqn, facts: Facts) -> Outcome:
    """``sum(a * b)`` over some axes of a large product as an ``einsum``."""
    (x,) = eqn.ins
    out = eqn.outs[0].aval
    if not out.ndim or x.aval.size < LARGE or x.aval.ndim > len(_LETTERS):
        return None
    found = _factors(x, facts)
    if found is None:
        return None
    axis = _axis(eqn)
    letters = _LETTERS[: x.aval.ndim]
    eqns: list[Eqn] = []
    terms, operands = [], []
    for factor in found:
        own = _letters_of(factor.aval, x.aval, letters)
        shape = tuple(x.aval.shape[letters.index(c)] for c in own)
        operands.append(reshaped(factor, shape, eqns, eqn.site))
        terms.append(own)
    kept = "".join(c for k, c in enumerate(letters) if k not in axis)
    if set("".join(terms)) != set(letters):
        return None
    subscripts = f"{','.join(terms)}->{kept}"
    _, new = apply("einsum", tuple(operands), eqn.site, subscripts=subscripts)
    return finish([*eqns, new], eqn)


def _letters_of(aval: Aval, whole: Aval, letters: str) -> str:
    """The letters of the axes along which an operand varies."""
    skipped = whole.ndim - aval.ndim
    lengths = zip(aval.shape, whole.shape[skipped:], letters[skipped:], strict=True)
    return "".join(c for n, length, c in lengths if n == length)


def sum_of_matmul(eqn: Eqn, facts: Facts) -> Outcome:
    """The sum over rows of ``a @ b`` as ``sum(a) @ b``, and over columns of ``b``."""
    (x,) = eqn.ins
    axis = _axis(eqn)
    product = facts.before(x, "matmul")
    if product is None or len(axis) != 1 or not x.aval.is_inexact:
        return None
    a, b = product.ins
    if min(a.aval.ndim, b.aval.ndim) < 2:
        return None
    from_end = axis[0] - x.aval.ndim
    if from_end not in (-1, -2) or x.aval.shape[axis[0]] < 2:
        return None
    is_rows = from_end == -2
    summed, other = (a, b) if is_rows else (b, a)
    own = summed.aval
    eqns: list[Eqn] = []
    total, new = apply("sum", (summed,), eqn.site, axis=(own.ndim + from_end,))
    eqns.append(new)
    if own.ndim > 2 or other.aval.ndim > 2:
        shape = list(own.shape)
        shape[from_end] = 1
        total = reshaped(total, tuple(shape), eqns, eqn.site)  # type: ignore[assignment] # of a variable
    ins = (total, other) if is_rows else (other, total)
    found, dot = apply("matmul", ins, product.site)
    eqns.append(dot)
    if found.aval is not eqn.outs[0].aval:
        reshaped(found, eqn.outs[0].aval.shape, eqns, eqn.site)
    return finish(eqns, eqn)


def sum_of_stack(eqn: Eqn, facts: Facts) -> Outcome:
    """The sum of a stack of products ``a.T @ b`` as one product of all rows."""
    (x,) = eqn.ins
    product = facts.before(x, "matmul")
    if product is None or _axis(eqn) != tuple(range(x.aval.ndim - 2)):
        return None
    a, b = swapped(product.ins[0], facts), product.ins[1]
    if a is None or x.aval.ndim < 3 or a.aval.shape[:-1] != b.aval.shape[:-1]:
        return None
    if not (x.aval.size and facts.is_fresh(a) and facts.is_fresh(b)):
        return None
    eqns: list[Eqn] = []
    rows = a.aval.size // a.aval.shape[-1]
    first = reshaped(a, (rows, a.aval.shape[-1]), eqns, eqn.site)
    second = reshaped(b, (rows, b.aval.shape[-1]), eqns, eqn.site)
    turned, turn = apply("transpose", (first,), eqn.site, axes=(1, 0))
    _, last = apply("matmul", (turned, second), product.site)
    return finish([*eqns, turn, last], eqn)


def sum_of_leading(eqn: Eqn, facts: Facts) -> Outcome:
    """The sum over all axes but the last: over the rows of a matrix."""
    (x,) = eqn.ins
    width = x.aval.shape[-1] if x.aval.ndim else 0
    is_leading = len(_axis(eqn)) > 1 and _axis(eqn) == tuple(range(x.aval.ndim - 1))
    if not is_leading or not is_blas(x.aval) or not width or not facts.is_fresh(x):
        return None
    eqns: list[Eqn] = []
    rows = reshaped(x, (x.aval.size // width, width), eqns, eqn.site)
    _, last = apply("sum", (rows,), eqn.site, axis=(0,))
    return finish([*eqns, last], eqn)


def sum_by_ones(eqn: Eqn, facts: Facts) -> Outcome:
    """The sum over one of the last two axes as a product with a vector of ones."""
    (x,) = eqn.ins
    axis, aval = _axis(eqn), x.aval
    if len(axis) != 1 or not is_blas(aval, eqn.outs[0].aval):
        return None
    from_end = axis[0] - aval.ndim
    length = aval.shape[axis[0]]
    longest = LONGEST_SINGLE if aval.numpy_dtype.char in "fF" else LONGEST
    if from_end < -2 or length < 2 or aval.size > LARGEST:
        return None
    if from_end == -1 and length > longest:
        return None
    if aval.ndim > 2 and aval.shape[-1] * aval.shape[-2] < LEAST:
        return None
    before = facts.source.get(x)
    if before is not None and before.prim.name in ("broadcast_to", "full"):
        return None
    ones = facts.ones(length, aval.numpy_dtype)
    is_last = from_end == -1
    ins = (x, ones) if is_last and aval.ndim > 1 else (ones, x)
    _, new = apply("matmul", ins, eqn.site)
    return finish([new], eqn)


EXACT: Rules = {"sum": (sum_of_one, sum_of_negative)}
ROUNDING: Rules = {
    "sum": (
        sum_of_multiple,
        sum_of_product,
        sum_of_sum,
        sum_with_vector,
        large_sum_of_product,
        sum_of_matmul,
        sum_of_stack,
        sum_of_leading,
        sum_by_ones,
    )
}
