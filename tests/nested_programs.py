"""Random programs of control flow, nested."""

from hypothesis import strategies as st

from fgrad.ir import Aval, Eqn, Lit, Program, Var
from fgrad.primitive import Primitive

VECTOR, NUMBER, TRUTH = Aval((3,), "float64"), Aval((), "float64"), Aval((), "bool")
NUMBERS = st.sampled_from([1, -2, 2.5, float("inf"), float("-inf"), True, 1e-300])


def _op(name, ins, out, **params):
    prim = Primitive.registry[name]
    return Eqn(prim, tuple(ins), tuple(params.items()), (Var(out),))


@st.composite
def programs(draw, avals=(VECTOR, VECTOR), out=VECTOR, depth=3, constants=True):
    """Programs of given input types, with one output of the type ``out``."""
    ins = [Var(aval) for aval in avals]
    consts = [Var(VECTOR) for _ in range(draw(st.integers(0, constants)))]
    vectors = [var for var in [*consts, *ins] if var.aval is VECTOR]
    eqns = []
    for _ in range(draw(st.integers(0, 3))):
        pick = st.sampled_from(vectors)
        x, y = draw(pick), draw(pick)
        kind = draw(st.integers(0, 6 if depth else 2))
        nested = lambda *a, **k: draw(
            programs(*a, **k, depth=depth - 1, constants=constants)
        )
        if kind == 0:
            eqn = _op("sin", [x], VECTOR)
        elif kind == 1:
            eqn = _op("multiply", [x, Lit(draw(NUMBERS))], VECTOR)
        elif kind == 2:
            eqn = _op("scalar_power", [x], VECTOR, exponent=draw(st.integers(2, 4)))
        elif kind == 3:
            eqn = _op("checkpoint", [x, y], VECTOR, program=nested())
        elif kind == 4:
            branches = tuple(nested() for _ in range(draw(st.integers(1, 3))))
            truth = draw(st.sampled_from([Lit(True), Lit(0)]))
            eqn = _op("cond", [truth, x, y], VECTOR, branches=branches)
        elif kind == 5:
            sizes = {"consts": 1, "carry": 1, "length": 2}
            flags = {"reverse": draw(st.booleans()), "residuals": 0}
            eqn = _op("scan", [x, y], VECTOR, body=nested(), **sizes, **flags)
        else:
            programs_ = {"cond": nested((VECTOR,), TRUTH), "body": nested()}
            sizes = {"cond_consts": 0, "body_consts": 1, "max_steps": 3}
            eqn = _op("while_loop", [x, y], VECTOR, **programs_, **sizes)
        eqns.append(eqn)
        vectors.append(eqn.outs[0])
    last = draw(st.sampled_from(vectors))
    if out is TRUTH:
        eqns.append(_op("sum", [last], NUMBER, axis=(0,)))
        eqns.append(_op("less", [eqns[-1].outs[0], Lit(1.0)], TRUTH))
        last = eqns[-1].outs[0]
    return Program(ins, eqns, [last], consts)
