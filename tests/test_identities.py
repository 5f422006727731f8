"""The rules that shorten programs, one by one, as texts before and after."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fgrad
from fgrad import identities
from fgrad.bodies import tighten
from fgrad.ir import Eqn, Lit, Program, Var, aval_of
from fgrad.passes import dce
from fgrad.primitive import Primitive
from fgrad.simplification import simplify

V, M, C = "f64[2]", "f64[2,2]", "f64[2,1]"
COLUMN, FLAT = "reshape[shape=(2, 1)]", "reshape[shape=(2,)]"
CASES = {
    "add_of_negative": [
        (f"c:{V} = negative b; d:{V} = add a c", f"d:{V} = subtract a b"),
        (f"c:{V} = negative b; d:{V} = add c a", f"d:{V} = subtract a b"),
        (f"c:{V} = negative b; d:{V} = subtract a c", f"d:{V} = add a b"),
        (f"c:{V} = multiply -2.0 b; d:{V} = add a c",
         f"c:{V} = multiply 2.0 b; d:{V} = subtract a c"),
        (f"c:{V} = negative b; d:{V} = multiply c a; e:{V} = add d a",
         f"d:{V} = multiply b a; e:{V} = subtract a d"),
        (f"c:{V} = negative b; d:{V} = divide a c; e:{V} = subtract a d",
         f"d:{V} = divide a b; e:{V} = add a d"),
        (f"c:{V} = negative b; d:f64[] = sum[axis=(0,)] c; e:{V} = add a d",
         f"d:f64[] = sum[axis=(0,)] b; e:{V} = subtract a d"),
        # used elsewhere: the product would be computed twice
        (f"c:{V} = negative b; d:{V} = multiply c a; e:{V} = add d a; "
         f"f:{V} = divide e d", None),
        ("c:i64[2] = negative i; d:i64[2] = add i c", None),
    ],
    "negative_of_negative": [
        (f"c:{V} = negative b; d:{V} = multiply a c; e:{V} = negative d",
         f"d:{V} = multiply a b"),
        (f"c:{V} = multiply 2.0 a; d:{V} = negative c", f"d:{V} = multiply -2.0 a"),
        (f"c:{V} = divide a 4; d:{V} = negative c", f"d:{V} = multiply -0.25 a"),
        (f"c:{V} = divide a 3; d:{V} = negative c", None),
    ],
    "product_of_negatives": [
        (f"c:{V} = negative a; d:{V} = negative b; e:{V} = multiply c d",
         f"e:{V} = multiply a b"),
        (f"c:{V} = negative a; d:{V} = multiply 3.0 c", f"d:{V} = multiply -3.0 a"),
        (f"c:{V} = negative a; d:{V} = divide c -2.0", f"d:{V} = divide a 2.0"),
        (f"c:{V} = negative a; d:{V} = multiply c b", None),
        ("c:u8[2] = negative u; d:f64[2] = divide c -1", None),
    ],
    "times_minus_one": [
        (f"c:{V} = multiply -1.0 a", f"c:{V} = negative a"),
        (f"c:{V} = multiply a -1", f"c:{V} = negative a"),
        ("c:f64[2] = multiply i -1.0", None),
        ("c:i64[2] = multiply i -1", None),
    ],
    "factors": [
        (f"c:{V} = multiply 0.1 a; d:{V} = multiply c 2", f"d:{V} = multiply 0.2 a"),
        (f"c:{V} = divide a 2; d:{V} = multiply 2 c; e:{V} = sin d",
         f"e:{V} = sin a"),
        (f"c:{V} = multiply 2 a; d:{V} = multiply 2 c", f"d:{V} = multiply 4 a"),
        (f"c:{V} = multiply 0.1 a; d:{V} = multiply c 3", None),
        (f"c:{V} = divide a 3; d:{V} = multiply 2 c", None),
        ("c:i64[2] = multiply 2 i; d:f64[2] = multiply 0.5 c", None),
    ],
    "twice": [
        (f"c:{V} = multiply 0.1 a; d:{V} = add c c", f"d:{V} = multiply 0.2 a"),
        (f"c:{V} = sin a; d:{V} = add c c", None),
        (f"c:{V} = multiply 0.1 a; d:{V} = add c c; e:{V} = sin c; "
         f"f:{V} = add d e", None),
    ],
    "reshape_of_reshape": [
        (f"c:{C} = {COLUMN} a; d:f64[1,2] = reshape[shape=(1, 2)] c",
         "d:f64[1,2] = reshape[shape=(1, 2)] a"),
    ],
    "reshape_around": [
        (f"c:{C} = {COLUMN} a; d:{C} = divide c 4; e:{V} = {FLAT} d",
         f"e:{V} = divide a 4"),
        (f"c:{C} = {COLUMN} a; d:{C} = {COLUMN} b; e:{C} = add c d; f:{V} = {FLAT} e",
         f"f:{V} = add a b"),
        (f"c:{C} = {COLUMN} a; d:{M} = add b c; e:f64[4] = reshape[shape=(4,)] d",
         None),
    ],
    "matrix_times_column": [
        (f"c:{C} = {COLUMN} a; d:{C} = matmul m c; e:{V} = {FLAT} d",
         f"e:{V} = matmul m a"),
        (f"c:{C} = {COLUMN} a; d:{C} = matmul m c; e:f64[1,2] = "
         "reshape[shape=(1, 2)] d", None),
    ],
    "same_mask": [
        ("c:bool[2] = logical_and t t; d:f64[2] = where c a b",
         "d:f64[2] = where t a b"),
        ("c:bool[2] = not_equal t 0; d:f64[2] = where c a b",
         "d:f64[2] = where t a b"),
        ("c:bool[2] = not_equal t 2; d:f64[2] = where c a b", None),
        ("c:bool[2] = not_equal a 0; d:f64[2] = where c a b", None),
    ],
    "leading axes": [
        (f"c:f64[] = sum[axis=(0,)] a; d:f64[1] = reshape[shape=(1,)] c; "
         f"e:{V} = multiply d b",
         f"c:f64[] = sum[axis=(0,)] a; e:{V} = multiply c b"),
        (f"c:f64[1,2] = reshape[shape=(1, 2)] a; d:{M} = add c m",
         f"d:{M} = add a m"),
        (f"c:{C} = {COLUMN} a; d:{M} = add c m", None),
        ("c:f64[1,2] = reshape[shape=(1, 2)] a; d:f64[1,2] = add c b", None),
    ],
}  # fmt: skip


def program_of(lines):
    body = lines.replace("; ", "\n")
    out = body.splitlines()[-1].split(":")[0].strip()
    head = "a:f64[2] b:f64[2] m:f64[2,2] t:bool[2] i:i64[2] u:u8[2]"
    return fgrad.parse(f"{{ lambda ; {head} . let\n{body}\nin ({out},) }}")


VALUES = [
    np.array([0.3, -1.7]),
    np.array([1.1, -0.0]),
    np.array([[1.0, -2.0], [0.5, 3.0]]),
    np.array([True, False]),
    np.array([3, -4]),
    np.array([3, 250], np.uint8),
]


@pytest.mark.parametrize(
    ("before", "after"), [case for cases in CASES.values() for case in cases]
)
def test_rules(before, after):
    program = program_of(before)
    shorter = fgrad.check(dce(simplify(program, is_exact=True)))
    assert str(shorter) == str(program_of(after or before))
    with np.errstate(all="ignore"):
        (x,), (y,) = program(*VALUES), shorter(*VALUES)
    assert x.dtype == y.dtype
    np.testing.assert_array_equal(x, y)


def test_every_rule_has_a_case():
    rules = {rule.__name__ for rules in identities.RULES.values() for rule in rules}
    assert rules <= set(CASES)


NUMBERS = [2, -2, -1, 0.5, 0.1, 3.0, -0.0, 0, 1, True, np.inf]
UNARY = ["negative", "negative", "sum", "reshape", "column", "flat", "transpose"]
BINARY = ["add", "subtract", "multiply", "multiply", "divide"]


@st.composite
def chains(draw):
    """Programs of signs, factors, sums and reshapes, and values for their inputs."""
    kinds = ["float64", "float32", "int64", "complex128"]
    shapes = [(2,), (), (2, 2), (2, 1)]
    values = [
        np.asarray(draw(st.integers(1, 5)) * np.ones(draw(st.sampled_from(shapes))))
        .astype(draw(st.sampled_from(kinds)))
        for _ in range(2)
    ]  # fmt: skip
    ins = [Var(aval_of(value)) for value in values]
    known, eqns = list(ins), []
    for _ in range(draw(st.integers(1, 8))):
        name = draw(st.sampled_from(UNARY + BINARY))
        x = known[-1] if draw(st.booleans()) else draw(st.sampled_from(known))
        params, operands = {}, (x,)
        if name in BINARY:
            y = draw(st.sampled_from([*known, *map(Lit, NUMBERS)]))
            operands = (x, y) if draw(st.booleans()) else (y, x)
        elif name == "sum":
            params = {"axis": tuple(range(x.aval.ndim))}
        elif name == "transpose":
            params = {"axes": tuple(reversed(range(x.aval.ndim)))}
        else:
            shape = {"column": (x.aval.size, 1), "flat": (x.aval.size,)}
            if name != "negative":
                params = {"shape": shape.get(name, (1, *x.aval.shape))}
                name = "reshape"
        prim = Primitive.registry[name]
        try:
            avals = prim.infer([atom.aval for atom in operands], params)
        except ValueError:
            continue
        outs = tuple(map(Var, avals))
        eqns.append(Eqn(prim, operands, tuple(params.items()), outs))
        known += outs
    return Program(ins, eqns, known[-2:]), values


@given(chains())
def test_random_chains_keep_values_and_types(chain):
    program, values = chain
    shorter = fgrad.check(tighten(fgrad.check(program)))
    assert len(shorter.eqns) <= len(program.eqns)
    with np.errstate(all="ignore"):
        for x, y in zip(program(*values), shorter(*values), strict=True):
            x, y = np.asarray(x), np.asarray(y)
            assert x.dtype == y.dtype and x.shape == y.shape
            finite = np.isfinite(x)
            np.testing.assert_array_equal(x[finite], y[finite])
