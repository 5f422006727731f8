"""Rules for matrix products: transposes and numbers leave them.

They may round elsewhere, as BLAS adds the terms of a product in another order.
"""

from fgrad.ir import Atom, Eqn, Lit
from fgrad.rewrites.facts import (
    Facts,
    Outcome,
    Rules,
    apply,
    finish,
    is_scale,
    reshaped,
)

ROWS = 256  # rows of a matrix from which one call of BLAS for each costs nothing


def swapped(atom: Atom, facts: Facts) -> Atom | None:
    """The stack of matrices that an atom is the transpose of."""
    eqn = facts.source.get(atom)
    if eqn is None or eqn.prim.name != "transpose":
        return None
    axes = dict(eqn.params)["axes"]
    ndim = len(axes)
    is_swap = ndim >= 2 and axes == (*range(ndim - 2), ndim - 1, ndim - 2)
    return eqn.ins[0] if is_swap else None


def transposed_times_vector(eqn: Eqn, facts: Facts) -> Outcome:
    """``a.T @ v`` as ``v @ a``, and ``v @ a.T`` as ``a @ v``, for a vector v."""
    ranks = tuple(atom.aval.ndim for atom in eqn.ins)
    if ranks not in ((2, 1), (1, 2)):
        return None
    matrix = swapped(eqn.ins[ranks.index(2)], facts)
    if matrix is None:
        return None
    vector = eqn.ins[ranks.index(1)]
    ins = (vector, matrix) if ranks == (2, 1) else (matrix, vector)
    return [Eqn(eqn.prim, ins, (), eqn.outs, eqn.site)]


def transposed_product(eqn: Eqn, facts: Facts) -> Outcome:
    """``(a.T @ b).T`` as ``b.T @ a``."""
    product = facts.before(eqn.ins[0], "matmul")
    if product is None or swapped(eqn.outs[0], facts) is not None:
        return None
    axes = dict(eqn.params)["axes"]
    ndim = len(axes)
    a, b = product.ins
    is_matrices = a.aval.ndim == b.aval.ndim == ndim >= 2
    if not is_matrices or axes != (*range(ndim - 2), ndim - 1, ndim - 2):
        return None
    plain = [swapped(atom, facts) for atom in (a, b)]
    if plain[0] is None and plain[1] is None:
        return None
    eqns: list[Eqn] = []
    ins: list[Atom] = []
    for atom, matrix in ((b, plain[1]), (a, plain[0])):
        if matrix is None:
            matrix, new = apply("transpose", (atom,), eqn.site, axes=axes)
            eqns.append(new)
        ins.append(matrix)
    _, last = apply("matmul", (ins[0], ins[1]), product.site)
    return finish([*eqns, last], eqn)


def stack_times_matrix(eqn: Eqn, facts: Facts) -> Outcome:
    """The product of a stack of matrices with one matrix: one product of all rows."""
    x, y = eqn.ins
    if x.aval.ndim < 3 or y.aval.ndim != 2 or not facts.is_fresh(x):
        return None
    if x.aval.shape[-2] > ROWS or not x.aval.size:
        return None
    eqns: list[Eqn] = []
    inner = x.aval.shape[-1]
    rows = reshaped(x, (x.aval.size // inner, inner), eqns, eqn.site)
    product, new = apply("matmul", (rows, y), eqn.site)
    _, last = apply("reshape", (product,), eqn.site, shape=eqn.outs[0].aval.shape)
    return finish([*eqns, new, last], eqn)


def multiple_in_product(eqn: Eqn, facts: Facts) -> Outcome:
    """``(2 * a) @ b`` as ``2 * (a @ b)``, where that has fewer elements than a."""
    aval = eqn.outs[0].aval
    if not aval.is_inexact:
        return None
    for position, atom in enumerate(eqn.ins):
        scale = facts.before(atom, "multiply", "negative")
        if scale is None or atom.aval.size <= aval.size:
            continue
        array = scale.ins[-1]
        number = scale.ins[0]
        if type(array) is Lit:
            array, number = number, array
        if array.aval is not atom.aval:
            continue
        if scale.prim.name == "multiply" and not is_scale(number):
            continue
        ins = (array, eqn.ins[1]) if position == 0 else (eqn.ins[0], array)
        product, new = apply("matmul", ins, eqn.site)
        rest = (product,) if scale.prim.name == "negative" else (number, product)
        _, last = apply(scale.prim.name, rest, scale.site)
        return finish([new, last], eqn)
    return None


ROUNDING: Rules = {
    "matmul": (transposed_times_vector, multiple_in_product, stack_times_matrix),
    "transpose": (transposed_product,),
}
