"""The rules that make jitted programs faster, one by one, as texts before and after."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_random_programs import INPUTS, ROUNDED, play, programs

import fgrad
from benchmarks.peers import _fgrad_derived
from benchmarks.workload import find_workloads
from fgrad.ir import Program, aval_of
from fgrad.rewrites import (
    constants,
    factors,
    optimise,
    products,
    shapes,
    slots,
    sums,
    turn_products,
)

TYPES = {
    "a": "f64[6]", "b": "f64[6]", "s": "f64[]", "u": "f64[5]", "o": "f64[1,6]",
    "m": "f64[4,6]", "n": "f64[4,6]", "p": "f64[6,5]", "q": "f64[5,4]",
    "t": "f64[3,4,6]", "v": "f64[3,6,5]", "w": "f64[1]", "k": "f64[4]",
    "col": "f64[4,1]", "big": "f64[600,500]", "large": "f64[600,500]",
    "row": "f64[500]", "two": "f64[2,600,500]", "i": "i64[6]", "x0": "f64[4,3]",
    "y0": "f64[5]", "y1": "f64[5]", "y2": "f64[5]", "y3": "f64[5]",
    "z2": "f64[4,2]", "u0": "f64[1]", "one": "f64[1,1]", "wide": "f64[3,9,9]",
    "n90": "f64[90]", "tall": "f64[6,4]", "pair": "f64[2]",
}  # fmt: skip
CONSTANTS = {
    "C": np.arange(6.0) - 2.5, "HALF": np.full(6, 0.5), "ZERO": np.zeros(6),
    "NONE": np.zeros(5), "GRID": np.arange(24.0).reshape(4, 6), "MINUS": -np.zeros(6),
    "SINC": np.sin(np.arange(6.0) - 2.5), "GRIDT": np.arange(24.0).reshape(4, 6).T,
    "LONG": np.arange(6300.0),
    "ONES4": np.ones(4), "ONES6": np.ones(6), "ONES9": np.ones(9),
    "ONES12": np.ones(12), "ROWS": np.arange(6),
    "SWAPPED": np.array([1, 0, 2, 3, 4, 5]),
}  # fmt: skip
V, M = "f64[6]", "f64[4,6]"
WHOLE = "(None, None, None)"
HEAD, TAIL = "at=((None, -1, None),)", "at=((1, None, None),)"
AXES3 = "(None, None, None), (None, None, None)"
PICK = "at=('$', '$')"
INTO_ROWS = f"scatter[shape=(6, 4), dtype='float64', {PICK}]"
GRID_SCATTER = f"scatter[shape=(4, 6), dtype='float64', at=({WHOLE}"
SCATTER = f"scatter[shape=(6,), dtype='float64', {HEAD}]"
EXACT = {
    "folded": [
        ("c:f64[6] = sin C; d:f64[6] = add c a", "d:f64[6] = add SINC a"),
        ("c:f64[6,4] = transpose[axes=(1, 0)] GRID; d:f64[6] = matmul c k",
         "d:f64[6] = matmul GRIDT k"),
        ("c:f64[70,90] = reshape[shape=(70, 90)] LONG; d:f64[70] = matmul c n90", None),
        # much larger than what it is made of
        ("c:f64[60000,6] = broadcast_to[shape=(60000, 6)] C; d:f64[60000,6] = sin c",
         None),
    ],
    "repeated": [
        (f"c:{V} = add a HALF", f"c:{V} = add a 0.5"),
        (f"c:{V} = multiply ZERO a", f"c:{V} = multiply 0.0 a"),
        (f"c:{V} = multiply MINUS a", f"c:{V} = multiply -0.0 a"),
        (f"c:{V} = multiply C a", None),
        (f"c:{V} = power a HALF", None),
        (f"c:{V} = add s HALF", None),  # the shape comes from the constant
    ],
    "add_beside": [
        (f"c:{V} = scatter[shape=(6,), dtype='float64', at=((None, 1, None),)] w; "
         f"d:{V} = index_add[at=((5, 6, None),)] c w",
         f"c:{V} = scatter[shape=(6,), dtype='float64', at=((None, 1, None),)] w; "
         f"d:{V} = index_update[at=((5, 6, None),)] c w"),
        (f"c:{V} = {SCATTER} u; d:{V} = index_add[at=((5, 6, None),)] c w",
         f"c:{V} = concatenate[axis=0] u w"),
        (f"c:{M} = {GRID_SCATTER}, (4, 6, None))] z2; "
         f"d:{M} = index_add[at=({WHOLE}, (None, 1, None))] c col; "
         f"e:{M} = index_add[at=({WHOLE}, (1, 4, None))] d x0",
         f"e:{M} = concatenate[axis=1] col x0 z2"),
        (f"c:{V} = scatter[shape=(6,), dtype='float64', at=((0, 5, 4),)] pair; "
         f"d:{V} = index_add[at=((1, 6, 4),)] c pair",
         f"c:{V} = scatter[shape=(6,), dtype='float64', at=((0, 5, 4),)] pair; "
         f"d:{V} = index_update[at=((1, 6, 4),)] c pair"),
        (f"c:{V} = scatter[shape=(6,), dtype='float64', at=((0, 5, 4),)] pair; "
         f"d:{V} = index_add[at=((0, 4, 3),)] c pair", None),
        (f"c:{V} = {SCATTER} u; d:{V} = index_add[{TAIL}] c u", None),
        (f"c:{V} = {SCATTER} u; d:{V} = index_add[at=((5, 6, None),)] c w; "
         f"e:{V} = sin c; g:{V} = add d e", None),
    ],
    "sum_of_scattered": [
        (f"c:f64[6,4] = {INTO_ROWS} a ROWS i; d:{V} = sum[axis=(1,)] c; "
         f"e:{V} = index[{PICK}] tall ROWS i; f:{V} = add d e",
         f"e:{V} = index[{PICK}] tall ROWS i; f:{V} = add a e"),
        # nothing else would say that an index is out of range
        (f"c:f64[6,4] = {INTO_ROWS} a ROWS i; d:{V} = sum[axis=(1,)] c", None),
        (f"c:f64[6,4] = {INTO_ROWS} a SWAPPED i; d:{V} = sum[axis=(1,)] c; "
         f"e:{V} = index[{PICK}] tall SWAPPED i; f:{V} = add d e", None),
        (f"c:f64[6,4] = {INTO_ROWS} a ROWS i; d:f64[4] = sum[axis=(0,)] c; "
         f"e:{V} = index[{PICK}] tall ROWS i; "
         f"f:f64[6,4] = index_add[{PICK}] tall e ROWS i; "
         "h:f64[6,4] = add d f", None),
    ],
    "logaddexp_slope_of_number": [
        (f"c:{V} = logaddexp_slope a 0.0",
         f"d:{V} = negative a; e:{V} = exp d; g:{V} = add 1.0 e; "
         f"h:{V} = divide 1.0 g"),
        (f"c:{V} = logaddexp_slope a 2.5",
         f"d:{V} = subtract 2.5 a; e:{V} = exp d; g:{V} = add 1.0 e; "
         f"h:{V} = divide 1.0 g"),
        (f"c:{V} = logaddexp_slope a b", None),
        (f"c:{V} = logaddexp_slope 0.0 a", None),
    ],
    "add_to_zeros": [
        (f"c:{V} = index_add[{HEAD}] ZERO u", f"c:{V} = {SCATTER} u"),
        (f"c:{V} = sin a; d:{V} = index_add[{HEAD}] c NONE", f"c:{V} = sin a"),
        (f"c:{V} = index_add[{HEAD}] C u", None),
    ],
    "update_of_zeros": [
        (f"c:{V} = index_update[{HEAD}] ZERO u", f"c:{V} = {SCATTER} u"),
        (f"c:{V} = index_update[at=('$',)] ZERO s 2",
         f"c:{V} = scatter[shape=(6,), dtype='float64', at=('$',)] s 2"),
        (f"c:{V} = index_update[{HEAD}] HALF u", None),
        (f"c:{V} = index_update[{HEAD}] MINUS u", None),
    ],
    "add_to_scatter": [
        (f"c:f64[5] = sin u; d:{V} = {SCATTER} c; e:{V} = index_add[{HEAD}] d u",
         f"c:f64[5] = sin u; d:f64[5] = add c u; e:{V} = {SCATTER} d"),
        (f"c:f64[5] = sin u; d:{V} = {SCATTER} c; e:{V} = index_add[{TAIL}] d u",
         None),
    ],
    "whole_index": [
        ("c:f64[6,1] = index[at=((None, None, None), None)] a",
         "c:f64[6,1] = reshape[shape=(6, 1)] a"),
        ("c:f64[6] = index[at=('$',)] o 0; d:f64[6] = sin c",
         "c:f64[6] = reshape[shape=(6,)] o; d:f64[6] = sin c"),
        ("c:f64[4,1,6] = index[at=(..., None, (0, 6, 1))] m",
         "c:f64[4,1,6] = reshape[shape=(4, 1, 6)] m"),
        ("c:f64[] = max[axis=(0,)] a; d:f64[1] = reshape[shape=(1,)] c; "
         "e:f64[] = index[at=('$',)] d 0; f:f64[] = sin e",
         "c:f64[] = max[axis=(0,)] a; f:f64[] = sin c"),
        ("c:f64[] = index[at=('$',)] w 0", None),  # a number of an array
        ("c:f64[6] = index[at=('$',)] m 0", None),
        ("c:f64[6] = index[at=((None, None, -1),)] a", None),
    ],
    "whole_scatter": [
        (f"c:{V} = sin a; d:f64[6,1] = reshape[shape=(6, 1)] c; e:{V} = "
         "scatter[shape=(6,), dtype='float64', at=((None, None, None), None)] d",
         f"c:{V} = sin a"),
    ],
    "whole_update": [
        (f"c:{V} = sin b; d:{V} = index_update[at=((None, None, None),)] a c",
         f"c:{V} = sin b"),
        ("c:f64[6] = sin b; d:f64[1,6] = index_update[at=('$',)] o c 0",
         "c:f64[6] = sin b; d:f64[1,6] = reshape[shape=(1, 6)] c"),
        (f"c:{V} = index_update[at=((None, None, None),)] a s", None),
    ],
    "whole_add": [
        ("c:f64[1,6] = index_add[at=('$',)] o a 0", "c:f64[1,6] = add o a"),
        (f"c:{V} = index_add[at=((None, None, None), None)] a p0",
         f"c:{V} = reshape[shape=(6,)] p0; d:{V} = add a c"),
        (f"c:{V} = index_add[at=((None, None, None),)] a s", f"c:{V} = add a s"),
        (f"c:{V} = index_add[{HEAD}] a u", None),
    ],
    "transpose_of_transpose": [
        ("c:f64[6,4,3] = transpose[axes=(2, 1, 0)] t; "
         "d:f64[4,6,3] = transpose[axes=(1, 0, 2)] c",
         "d:f64[4,6,3] = transpose[axes=(1, 2, 0)] t"),
        ("c:f64[6,3,4] = transpose[axes=(2, 0, 1)] t; d:f64[3,4,6] = "
         "transpose[axes=(1, 2, 0)] c; e:f64[3,4,6] = sin d", "e:f64[3,4,6] = sin t"),
    ],
    "scale_of_reshape": [
        ("c:f64[6] = multiply a 0.5; d:f64[6,1] = reshape[shape=(6, 1)] c; "
         "e:f64[6,1] = multiply -2 d",
         "c:f64[6] = negative a; d:f64[6,1] = reshape[shape=(6, 1)] c"),
        ("c:f64[6] = sin a; d:f64[6,1] = reshape[shape=(6, 1)] c; "
         "e:f64[6,1] = multiply 2 d", None),
    ],
    "reshape_of_number": [
        ("c:f64[] = sin s; d:f64[1] = reshape[shape=(1,)] c; e:f64[1] = add d 1.0; "
         "f:f64[] = reshape[shape=()] e; g:f64[6] = multiply f a",
         "c:f64[] = sin s; f:f64[] = add c 1.0; g:f64[6] = multiply f a"),
    ],
    "sum_of_one": [
        ("c:f64[6] = sum[axis=(0,)] o", "c:f64[6] = reshape[shape=(6,)] o"),
        ("c:f64[] = sum[axis=(0,)] w", None),  # a number, which no reshape is
    ],
    "sum_of_negative": [
        ("c:f64[6] = negative a; d:f64[] = sum[axis=(0,)] c; e:f64[] = sin d",
         "c:f64[] = sum[axis=(0,)] a; d:f64[] = negative c; e:f64[] = sin d"),
    ],
}  # fmt: skip
TYPES["p0"] = "f64[6,1]"
ROUNDING = {
    "like_terms": [
        (f"c:{V} = multiply 0.5 a; d:{V} = multiply c b; e:{V} = multiply a b; "
         f"f:{V} = multiply e 0.5; g:{V} = add d f",
         f"c:{V} = multiply 0.5 a; d:{V} = multiply c b; e:{V} = multiply 2.0 d"),
        (f"c:{V} = square a; d:{V} = multiply c b; e:{V} = multiply a b; "
         f"f:{V} = multiply e a; g:{V} = multiply 3.0 f; h:{V} = subtract d g",
         f"c:{V} = square a; d:{V} = multiply c b; e:{V} = multiply -2.0 d"),
        (f"c:{V} = multiply a a; d:{V} = multiply a b; e:{V} = add c d", None),
        (f"c:{V} = multiply a b; d:{V} = multiply b u0; e:{V} = add c d", None),
    ],
    "common_factor": [
        (f"c:{V} = multiply 2.0 a; d:{V} = multiply 2.0 b; e:{V} = add c d",
         f"c:{V} = add a b; d:{V} = multiply 2.0 c"),
        (f"c:{V} = multiply -3.0 a; d:{V} = multiply b 3.0; e:{V} = add c d",
         f"c:{V} = subtract a b; d:{V} = multiply -3.0 c"),
        (f"c:{V} = multiply 2.0 a; d:{V} = multiply b 2.0; e:{V} = multiply d a; "
         f"f:{V} = subtract c e",
         f"c:{V} = multiply b a; d:{V} = subtract a c; e:{V} = multiply 2.0 d"),
        (f"c:{V} = multiply 2.0 a; d:{V} = multiply 3.0 b; e:{V} = add c d", None),
        (f"c:{V} = multiply 2.0 a; d:{V} = multiply 2.0 b; e:{V} = add c d; "
         f"f:{V} = multiply e c", None),  # one is read elsewhere
    ],
    "transposed_times_vector": [
        (f"c:f64[6,4] = transpose[axes=(1, 0)] m; d:{V} = matmul c k",
         f"d:{V} = matmul k m"),
        ("c:f64[6,4] = transpose[axes=(1, 0)] m; d:f64[4] = matmul a c",
         "d:f64[4] = matmul m a"),
    ],
    "transposed_product": [
        ("c:f64[3,6,4] = transpose[axes=(0, 2, 1)] t; d:f64[3,6,6] = matmul c t; "
         "e:f64[3,6,6] = transpose[axes=(0, 2, 1)] d",
         "c:f64[3,6,4] = transpose[axes=(0, 2, 1)] t; e:f64[3,6,6] = matmul c t"),
        ("c:f64[4,5] = matmul m p; d:f64[5,4] = transpose[axes=(1, 0)] c", None),
    ],
    "stack_times_matrix": [
        ("c:f64[3,4,6] = sin t; d:f64[3,4,5] = matmul c p",
         "c:f64[3,4,6] = sin t; d:f64[12,6] = reshape[shape=(12, 6)] c; "
         "e:f64[12,5] = matmul d p; f:f64[3,4,5] = reshape[shape=(3, 4, 5)] e"),
        ("c:f64[3,4,5] = matmul t p", None),  # its rows may be apart
    ],
    "multiple_in_product": [
        ("c:f64[4,6] = multiply 2.0 m; d:f64[4] = matmul c a",
         "c:f64[4] = matmul m a; d:f64[4] = multiply 2.0 c"),
        ("c:f64[6] = negative a; d:f64[] = matmul c b",
         "c:f64[] = matmul a b; d:f64[] = negative c"),
        ("c:f64[4,6] = multiply 2.0 m; d:f64[4] = matmul c a; e:f64[4,6] = sin c; "
         "f:f64[4] = max[axis=(1,)] e; g:f64[4] = add d f", None),
    ],
    "sum_of_multiple": [
        (f"c:{V} = multiply 3.0 a; d:f64[] = sum[axis=(0,)] c",
         "c:f64[] = matmul ONES6 a; d:f64[] = multiply 3.0 c"),
        ("c:f64[4,6] = divide m col; d:f64[4] = sum[axis=(1,)] c",
         "c:f64[4] = matmul m ONES6; d:f64[4] = reshape[shape=(4,)] col; "
         "e:f64[4] = divide c d"),
        # the sum of m is known
        (f"c:f64[6] = sum[axis=(0,)] m; d:{M} = multiply a m; e:{V} = sum[axis=(0,)] d;"
         f" f:{M} = add d e; g:{M} = multiply f c",
         f"c:f64[6] = matmul ONES4 m; d:{M} = multiply a m; e:{V} = multiply a c; "
         f"f:{M} = add d e; g:{M} = multiply f c"),
        (f"c:{V} = multiply 0.0 a; d:f64[] = sum[axis=(0,)] c",
         f"c:{V} = multiply 0.0 a; d:f64[] = matmul ONES6 c"),
    ],
    "sum_of_product": [
        (f"c:{V} = multiply a b; d:f64[] = sum[axis=(0,)] c", "d:f64[] = matmul a b"),
        (f"c:{V} = square a; d:f64[] = sum[axis=(0,)] c", "d:f64[] = matmul a a"),
        (f"c:{M} = multiply m n; d:f64[] = sum[axis=(0, 1)] c",
         "c:f64[24] = reshape[shape=(24,)] m; d:f64[24] = reshape[shape=(24,)] n; "
         "e:f64[] = matmul c d"),
        ("c:i64[6] = multiply i i; d:i64[] = sum[axis=(0,)] c", None),
    ],
    "sum_of_sum": [
        (f"c:{V} = square a; d:{V} = multiply 100.0 c; e:{V} = multiply a b; "
         f"f:{V} = add d e; g:f64[] = sum[axis=(0,)] f",
         "c:f64[] = matmul a a; d:f64[] = multiply 100.0 c; e:f64[] = matmul a b; "
         "f:f64[] = add d e"),
        (f"c:{V} = square a; d:{V} = subtract c b; e:f64[] = sum[axis=(0,)] d",
         f"c:{V} = square a; d:{V} = subtract c b; e:f64[] = matmul ONES6 d"),
    ],
    "sum_with_vector": [
        (f"c:{M} = multiply m a; d:f64[4] = sum[axis=(1,)] c", "d:f64[4] = matmul m a"),
        (f"c:{M} = multiply col m; d:{V} = sum[axis=(0,)] c",
         f"c:f64[4] = reshape[shape=(4,)] col; d:{V} = matmul c m"),
        (f"c:{M} = multiply m n; d:f64[4] = sum[axis=(1,)] c",
         f"c:{M} = multiply m n; d:f64[4] = matmul c ONES6"),
    ],
    "large_sum_of_product": [
        ("c:f64[600,500] = multiply big large; d:f64[600] = sum[axis=(1,)] c",
         "d:f64[600] = einsum[subscripts='ab,ab->a'] big large"),
        ("c:f64[2,600,500] = multiply two row; d:f64[2] = sum[axis=(1, 2)] c",
         "d:f64[2] = einsum[subscripts='abc,c->a'] two row"),
    ],
    "sum_of_matmul": [
        ("c:f64[4,5] = matmul m p; d:f64[5] = sum[axis=(0,)] c",
         "c:f64[6] = matmul ONES4 m; d:f64[5] = matmul c p"),
        ("c:f64[3,4,5] = matmul t v; d:f64[3,4] = sum[axis=(2,)] c",
         "c:f64[3,6] = sum[axis=(2,)] v; d:f64[3,6,1] = reshape[shape=(3, 6, 1)] c; "
         "e:f64[3,4,1] = matmul t d; f:f64[3,4] = reshape[shape=(3, 4)] e"),
        ("c:f64[4,5] = matmul m p; d:f64[4,5] = negative c; "
         "e:f64[5] = sum[axis=(0,)] d",
         "c:f64[6] = matmul ONES4 m; d:f64[5] = matmul c p; e:f64[5] = negative d"),
    ],
    "sum_of_stack": [
        ("c:f64[3,4,6] = sin t; d:f64[3,6,4] = transpose[axes=(0, 2, 1)] c; "
         "e:f64[3,6,6] = matmul d c; f:f64[6,6] = sum[axis=(0,)] e",
         "c:f64[3,4,6] = sin t; d:f64[12,6] = reshape[shape=(12, 6)] c; "
         "e:f64[6,12] = transpose[axes=(1, 0)] d; f:f64[6,6] = matmul e d"),
    ],
    "sum_of_leading": [
        ("c:f64[3,4,6] = sin t; d:f64[6] = sum[axis=(0, 1)] c",
         "c:f64[3,4,6] = sin t; d:f64[12,6] = reshape[shape=(12, 6)] c; "
         "e:f64[6] = matmul ONES12 d"),
        ("c:f64[6] = sum[axis=(0, 1)] t", None),  # its rows may be apart
    ],
    "sum_by_ones": [
        ("c:f64[4] = sum[axis=(1,)] m", "c:f64[4] = matmul m ONES6"),
        ("c:f64[6] = sum[axis=(0,)] m", "c:f64[6] = matmul ONES4 m"),
        ("c:f64[3,9] = sum[axis=(1,)] wide", "c:f64[3,9] = matmul ONES9 wide"),
        ("c:f64[3,4] = sum[axis=(2,)] t", None),  # products of small matrices are slow
        ("c:f64[3] = sum[axis=(1, 2)] t", None),
        ("c:i64[] = sum[axis=(0,)] i", None),
    ],
}  # fmt: skip


def words(text):
    return set(text.replace(";", " ").split())


def program_of(lines, inputs):
    """A program of these inputs that returns what the last line computes."""
    body = lines.replace("; ", "\n")
    out = body.splitlines()[-1].split(":")[0].strip()
    consts = [name for name in CONSTANTS if name in words(lines)]
    head = " ".join(f"{k}:{aval_of(CONSTANTS[k])}" for k in consts)
    ins = " ".join(f"{name}:{TYPES[name]}" for name in inputs)
    text = f"{{ lambda {head} ; {ins} . let\n{body}\nin ({out},) }}"
    found = fgrad.parse(text)
    values = [CONSTANTS[name] for name in consts]
    return Program(found.ins, found.eqns, found.outs, found.consts, values)


def draw(aval, seed, special=()):
    rng = np.random.default_rng(seed)
    value = rng.uniform(-2, 2, aval.shape).astype(aval.dtype)
    value = np.asarray(value)
    if value.dtype.kind == "f":
        for k, number in enumerate(special):
            value.reshape(-1)[(7 * k + seed) % value.size] = number
    return value if aval.ndim else value[()]


SPECIAL = [(), (-0.0, 0.0), (np.inf,), (-np.inf, np.inf), (np.nan, 0.0, np.inf)]


def compare(one, other, is_exact, terms=1):
    one, other = np.asarray(one), np.asarray(other)
    assert one.dtype == other.dtype and one.shape == other.shape
    if is_exact:
        np.testing.assert_array_equal(one, other)
        return
    finite = np.isfinite(one)
    np.testing.assert_array_equal(finite, np.isfinite(other))
    bound = 2 * terms * np.finfo(one.dtype).eps if one.dtype.kind in "fc" else 0
    size = max(1, np.max(np.abs(one[finite]), initial=0))
    np.testing.assert_allclose(one[finite], other[finite], 0, 8 * bound * size)


CASES = [(*case, True) for cases in EXACT.values() for case in cases]
CASES += [(*case, False) for cases in ROUNDING.values() for case in cases]


@pytest.mark.parametrize(("before", "after", "is_exact"), CASES)
def test_rules(before, after, is_exact):
    inputs = [name for name in TYPES if name in words(before)]
    program = program_of(before, inputs)
    shorter = fgrad.check(optimise(program, is_exact))
    wanted = program_of(after or before, inputs)
    assert str(shorter) == str(wanted)
    for one, other in zip(shorter.values, wanted.values, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    for seed, special in enumerate(SPECIAL):
        values = [
            draw(var.aval, seed + k, special) for k, var in enumerate(program.ins)
        ]
        terms = max((value.size for value in map(np.asarray, values)), default=1)
        with np.errstate(all="ignore"):
            (x,), (y,) = program(*values), shorter(*values)
        assert type(x) is type(y)
        compare(x, y, is_exact, terms)


def test_every_rule_has_a_case():
    exact = {r.__name__ for r in constants.ANY}
    for table in (constants.EXACT, shapes.EXACT, slots.EXACT, sums.EXACT):
        exact |= {rule.__name__ for rules in table.values() for rule in rules}
    rounding = {
        rule.__name__
        for table in (products.ROUNDING, sums.ROUNDING, factors.ROUNDING)
        for rules in table.values()
        for rule in rules
    }
    assert exact == set(EXACT) and rounding == set(ROUNDING)


# --- the steps of unrolled loops


def recurrent(p, xs, h):
    for step in range(xs.shape[0]):
        h = np.tanh(xs[step] @ p["wx"] + h @ p["wh"] + p["b"])
    return np.sum(h * h)


def recurrent_arguments(steps, *batch):
    rng = np.random.default_rng(2)
    p = {"wx": (12, 20), "wh": (20, 20), "b": (20,)}
    p = {name: rng.standard_normal(shape) for name, shape in p.items()}
    return p, rng.standard_normal((steps, *batch, 12)), np.zeros((*batch, 20))


def names(program):
    return [eqn.prim.name for eqn in program.eqns]


@pytest.mark.parametrize("batch", [(), (1,), (2,), (15,), (17,)])
def test_products_of_steps_are_one_product(batch):
    args = recurrent_arguments(6, *batch)
    gradient = fgrad.value_and_grad(recurrent)
    jitted = fgrad.jit(gradient)
    found = [jitted(*args) for _ in range(3)][-1]
    value, grads = gradient(*args)
    np.testing.assert_allclose(found[0], value, 1e-14)
    for name, one in found[1].items():
        bound = 1e-13 * np.max(np.abs(grads[name]))
        np.testing.assert_allclose(one, grads[name], 1e-12, bound)
    product = names(jitted.lower(*args)).count("matmul")
    # one of the inputs, six of states, one of the loss, five back, two of weights and
    # one of the bias
    assert product == 16 if batch != (17,) else product > 26
    few = recurrent_arguments(3, *batch)
    assert "concatenate" not in names(jitted.lower(*few))


STEPS = """{ lambda ; x:f64[4,2,3] w:f64[3,5] g0:f64[2,5] g1:f64[2,5] g2:f64[2,5]
g3:f64[2,5] r:f64[3,5] . let
    x0:f64[2,3] = index[at=('$',)] x 0
    x1:f64[2,3] = index[at=('$',)] x 1
    x2:f64[2,3] = index[at=('$',)] x 2
    x3:f64[2,3] = index[at=('$',)] x 3
    h3:f64[2,5] = sin g3
    h2:f64[2,5] = sin g2
    h1:f64[2,5] = sin g1
    h0:f64[2,5] = sin g0
    t0:f64[3,2] = transpose[axes=(1, 0)] x0
    t1:f64[3,2] = transpose[axes=(1, 0)] x1
    t2:f64[3,2] = transpose[axes=(1, 0)] x2
    t3:f64[3,2] = transpose[axes=(1, 0)] x3
    p0:f64[3,5] = matmul t0 h0
    p1:f64[3,5] = matmul t1 h1
    p2:f64[3,5] = matmul t2 h2
    p3:f64[3,5] = matmul t3 h3
    a:f64[3,5] = add p3 p2
    b:f64[3,5] = add a p1
    c:f64[3,5] = add b r
    d:f64[3,5] = add c p0
    e:f64[2,5] = add h3 h2
    f:f64[2,5] = add e h1
    g:f64[2,5] = add f h0
    s:f64[5] = sum[axis=(0,)] g
  in (d,s,) }"""
JOINED = """{ lambda ones:f64[8] ; x:f64[4,2,3] w:f64[3,5] g0:f64[2,5] g1:f64[2,5]
g2:f64[2,5] g3:f64[2,5] r:f64[3,5] . let
    h3:f64[2,5] = sin g3
    h2:f64[2,5] = sin g2
    h1:f64[2,5] = sin g1
    h0:f64[2,5] = sin g0
    y:f64[8,3] = reshape[shape=(8, 3)] x
    h:f64[8,5] = concatenate[axis=0] h0 h1 h2 h3
    t:f64[3,8] = transpose[axes=(1, 0)] y
    p:f64[3,5] = matmul t h
    d:f64[3,5] = add p r
    s:f64[5] = matmul ones h
  in (d,s,) }"""


def test_sum_of_products_of_steps():
    shorter = optimise(fgrad.parse(STEPS))
    assert str(fgrad.check(shorter)) == str(fgrad.parse(JOINED))


# --- whole programs


def test_guards_see_what_was_traced():
    """The sum that Python branches on is NumPy's, so that no call misses its path."""
    x = np.array([0.1, 0.2, 0.3, 0.4, 0.7, 1.3])
    border = float(np.sum(x * x))

    def f(x):
        return np.sum(x * x) * 2 if np.sum(x * x) <= border else np.sum(x * x) * 3

    jitted = fgrad.jit(f)
    for _ in range(5):
        assert jitted(x) == f(x)
    assert jitted.cache_info().paths == 1
    assert "sum" in names(jitted.lower(x))


def test_work_grows_with_length(monkeypatch):
    """Rules are tried a bounded number of times for each equation."""
    module = importlib.import_module("fgrad.rewrites.optimise")
    tried = []
    applied = module._applied
    monkeypatch.setattr(module, "_applied", lambda *a: tried.append(1) or applied(*a))
    counts = []
    for steps in (10, 40):
        program = fgrad.make_program(fgrad.grad(recurrent))(
            *recurrent_arguments(steps, 16)
        )
        tried.clear()
        optimise(program)
        counts.append(len(tried) / len(program.eqns))
    assert counts[1] <= 1.1 * counts[0] <= 3


WORKLOADS = [w for w in find_workloads() if w.name != "black-scholes-1e7"]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_nothing_is_left_to_do(workload):
    jitted = fgrad.jit(_fgrad_derived(workload))
    program = fgrad.check(jitted.lower(*workload.arguments(small=True)))
    assert optimise(program) == program


def check_program(program, inputs, is_exact):
    shorter = fgrad.check(optimise(program, is_exact))
    for special in SPECIAL:
        values = [x.copy() for x in inputs]
        for x in values:
            x.reshape(-1)[: len(special)] = special
        with np.errstate(all="ignore"):
            try:
                expected = program(*values)
            except (np.linalg.LinAlgError, FloatingPointError):
                continue
            found = shorter(*values)
        for one, other in zip(found, expected, strict=True):
            if is_exact:
                np.testing.assert_array_equal(one, other)
            elif not special:
                scale = 1 + np.max(np.abs(other), initial=0)
                np.testing.assert_allclose(one, other, 0, 1e-10 * scale)
    for one, other in zip(shorter(*inputs), program(*inputs), strict=True):
        assert np.result_type(one) == np.result_type(other)


@settings(max_examples=150)
@given(data=st.data())
def test_random_programs(data):
    steps = data.draw(programs(INPUTS, 10, ROUNDED | {"float32"}))

    def f(*xs):
        return play(steps, xs)

    def loss(*xs):
        return sum(np.sum(np.sin(y)) for y in play(steps, xs))

    for function in (f, fgrad.grad(loss, (0, 1))):
        try:
            program = fgrad.make_program(function)(*INPUTS)
        except fgrad.errors.FgradError:
            continue  # no gradient
        check_program(program, INPUTS, True)
        check_program(program, INPUTS, False)


def test_pullbacks_of_transposed_operands_need_no_copies() -> None:
    """The gradient of ``x @ w.T`` is a product, not a transposed one."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))

    def loss(w: np.ndarray) -> np.ndarray:
        return np.sum(np.tanh(x @ w.T) ** 2)

    gradient = fgrad.grad(loss)(w)
    assert gradient.flags.c_contiguous
    y = np.tanh(x @ w.T)
    np.testing.assert_allclose(gradient, (2 * y * (1 - y * y)).T @ x, 1e-13)
    before = fgrad.make_program(lambda x, y: (x.T @ y).T)(x, y)
    after = turn_products(before)
    assert [eqn.prim.name for eqn in before.eqns] == [
        "transpose",
        "matmul",
        "transpose",
    ]
    assert [eqn.prim.name for eqn in after.eqns] == ["transpose", "matmul"]
    np.testing.assert_allclose(after(x, y)[0], y.T @ x, 1e-14)
    kept = fgrad.make_program(lambda x, y: (x @ y, np.sin(x).T))(x, w.T)
    assert len(turn_products(kept).eqns) == len(kept.eqns)
