"""What a program is rewritten to before jax sees it: XLA has other costs than NumPy."""

from collections.abc import Sequence

from fgrad.ir import Atom, Eqn, Program


def equations_for_xla(program: Program) -> Sequence[Eqn]:
    """The equations, with products of transposed matrices and vectors turned round.

    NumPy hands a transposed matrix to BLAS as it is. On CPU XLA would copy it where the
    other operand is a vector: ``x.T @ v`` is ``v @ x``, which reads ``x`` in order.
    """
    sources: dict[Atom, Atom] = {
        eqn.outs[0]: eqn.ins[0]
        for eqn in program.eqns
        if eqn.prim.name == "transpose" and dict(eqn.params)["axes"] == (1, 0)
    }
    if not sources:
        return program.eqns
    return [_turned(eqn, sources) for eqn in program.eqns]


def _turned(eqn: Eqn, sources: dict[Atom, Atom]) -> Eqn:
    if eqn.prim.name != "matmul":
        return eqn
    x, y = eqn.ins
    if x in sources and y.aval.ndim == 1:
        ins = y, sources[x]
    elif y in sources and x.aval.ndim == 1:
        ins = sources[y], x
    else:
        return eqn
    return Eqn(eqn.prim, ins, eqn.params, eqn.outs, eqn.site)
