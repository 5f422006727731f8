"""What a program is rewritten to before jax sees it: XLA has other costs than NumPy."""

from collections import Counter
from collections.abc import Sequence

from fgrad.ir import Atom, Eqn, Program
from fgrad.passes import dce, with_eqns
from fgrad.primitive import Primitive


def equations_for_xla(program: Program) -> Sequence[Eqn]:
    """The equations, with products that say over which axes they sum.

    NumPy hands a transposed matrix to BLAS as it is. XLA copies it where it does not
    find out that it need not. So products read the matrix itself; but for a transpose
    that several products of matrices read, such as that of the weights of an unrolled
    loop: it is copied once, since products in memory order are quicker.
    """
    every: dict[Atom, Atom] = {
        eqn.outs[0]: eqn.ins[0]
        for eqn in program.eqns
        if eqn.prim.name == "transpose" and dict(eqn.params)["axes"] == (1, 0)
    }
    if not every:
        return program.eqns
    uses = Counter(atom for eqn in program.eqns for atom in eqn.ins)
    single = {atom: source for atom, source in every.items() if uses[atom] == 1}
    eqns = [
        _untransposed(eqn, every if _has_vector(eqn) else single)
        for eqn in program.eqns
    ]
    return dce(with_eqns(program, eqns, program.outs)).eqns


def _has_vector(eqn: Eqn) -> bool:
    return any(atom.aval.ndim == 1 for atom in eqn.ins)


def _untransposed(eqn: Eqn, sources: dict[Atom, Atom]) -> Eqn:
    is_known = all(atom.aval.ndim <= 2 for atom in eqn.ins)
    if eqn.prim.name != "matmul" or sources.keys().isdisjoint(eqn.ins) or not is_known:
        return eqn
    x, y = eqn.ins
    rows = "b" if x.aval.ndim == 1 else "ba" if x in sources else "ab"
    columns = "b" if y.aval.ndim == 1 else "cb" if y in sources else "bc"
    terms = [(sources.get(x, x), rows), (sources.get(y, y), columns)]
    if _has_vector(eqn):
        terms.reverse()  # on CPU v @ x reads x in order, x.T @ v does not
    output = "".join(c for c in "ac" if c in rows + columns)
    subscripts = f"{terms[0][1]},{terms[1][1]}->{output}"
    einsum = Primitive.registry["einsum"]
    ins = tuple(atom for atom, _ in terms)
    return Eqn(einsum, ins, (("subscripts", subscripts),), eqn.outs, eqn.site)
