"""Indexing: any NumPy index reads and writes the same elements, and so do gradients.

The reference for a read is ``np.add.at``; for a write, NumPy itself writes the number
of each written element into an array of labels, which shows which write came last.
"""

from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fgrad

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


@st.composite
def mixed_indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """Ints, slices, None, an ellipsis, arrays that broadcast, a mask, in one index."""
    target = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    key: list[Any] = []
    axis = 0
    while axis < len(shape):
        length = shape[axis]
        kinds = ["int", "slice", "array", "list", "new", "stop"]
        kinds += ["mask"] if axis == 0 else []
        kind = draw(st.sampled_from(kinds))
        if kind == "stop":
            break
        if kind == "new":
            key.append(None)
            continue
        if kind == "mask":
            depth = draw(st.integers(1, len(shape)))
            key.append(draw(hnp.arrays(bool, shape[:depth])))
            count = int(np.count_nonzero(key[-1]))
            target = (count,) if draw(st.booleans()) else (1,)
            axis += depth
            continue
        numbers = st.integers(-length, length - 1)
        if kind == "int":
            key.append(draw(numbers))
        elif kind == "slice":
            key.append(draw(st.slices(length)))
        else:
            cut = draw(st.integers(0, len(target)))
            sides = tuple(draw(st.sampled_from([1, n])) for n in target[cut:])
            array = draw(hnp.arrays(np.int64, sides, elements=numbers))
            key.append(array.tolist() if kind == "list" and array.ndim else array)
        axis += 1
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))), Ellipsis)
    return tuple(key)


@st.composite
def arrays_and_indices(draw: Any) -> tuple[Any, Any]:
    """An array and an index that NumPy accepts."""
    shape = draw(SHAPES)
    key = draw(
        st.one_of(
            hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True),
            hnp.integer_array_indices(shape),
            hnp.arrays(bool, shape),
            mixed_indices(shape),
        )
    )
    return np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape) / 7, key


def numpy_accepts(x: Any, key: Any) -> bool:
    try:
        x[key]
    except IndexError:
        return False
    return True


VALID = arrays_and_indices().filter(lambda pair: numpy_accepts(*pair))


def weights(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(len(shape)).standard_normal(shape)


def check_read(x: Any, key: Any) -> None:
    before = x.copy()
    expected = x[key]
    for _ in range(2):
        value, pullback = fgrad.vjp(lambda a: a[key], x)
        np.testing.assert_array_equal(value, expected, strict=True)
        assert isinstance(value, np.ndarray) == isinstance(expected, np.ndarray)
        ct = weights(np.shape(expected))
        reference = np.zeros_like(x)
        np.add.at(reference, key, ct)
        np.testing.assert_allclose(pullback(ct)[0], reference, 1e-14, 1e-14)
    tangent = weights(x.shape)
    moved = fgrad.jvp(lambda a: a[key], (x,), (tangent,))[1]
    np.testing.assert_array_equal(moved, tangent[key])
    np.testing.assert_array_equal(x, before)


def last_writes(x: Any, key: Any, slot: tuple[int, ...]) -> Any:
    """For each element of x the number of the value that ended there, or -1."""
    labels = np.full(x.shape, -1)
    labels[key] = np.arange(np.prod(slot, dtype=int)).reshape(slot)
    return labels


def check_write(x: Any, key: Any) -> None:
    slot = np.shape(x[key])
    v = weights(slot)
    before = x.copy()
    labels = last_writes(x, key, slot)

    def f(x: Any, v: Any) -> Any:
        y = x * 1.0
        y[key] = v
        return y

    ct = weights(x.shape)
    reference = np.zeros(np.size(v))
    np.add.at(reference, labels[labels >= 0], ct[labels >= 0])
    for _ in range(2):
        value, pullback = fgrad.vjp(f, x, v)
        np.testing.assert_array_equal(value, f(x, v), strict=True)
        ct_x, ct_v = pullback(ct)
        np.testing.assert_array_equal(ct_x, np.where(labels < 0, ct, 0.0))
        np.testing.assert_allclose(ct_v, reference.reshape(slot), 1e-14, 1e-14)
    tangents = (weights(x.shape), weights(slot) + 1)
    moved = fgrad.jvp(f, (x, v), tangents)[1]
    np.testing.assert_array_equal(moved, f(*tangents))
    np.testing.assert_array_equal(x, before)


def check_update(x: Any, key: Any) -> None:
    """``y[key] += v``: a repeated index counts once, as NumPy has it."""
    slot = np.shape(x[key])
    v = weights(slot)

    def f(x: Any, v: Any) -> Any:
        y = x * 1.0
        y[key] += v
        y[key] *= 2.0
        return y

    ct = weights(x.shape)
    for _ in range(2):
        value, pullback = fgrad.vjp(f, x, v)
        np.testing.assert_array_equal(value, f(x, v), strict=True)
        cts = pullback(ct)
        tangents = weights(x.shape), weights(slot) + 1
        moved = fgrad.jvp(f, (x, v), tangents)[1]
        np.testing.assert_allclose(moved, f(*tangents), 1e-14, 1e-14)
        pulled = sum(np.sum(a * b) for a, b in zip(cts, tangents, strict=True))
        np.testing.assert_allclose(pulled, np.sum(ct * moved), 1e-12, 1e-12)


def check_accumulation(x: Any, key: Any) -> None:
    """``np.add.at`` counts every repeated index."""
    v = weights(np.shape(x[key]))

    def f(x: Any, v: Any) -> Any:
        y = x * 1.0
        np.add.at(y, key, v)
        return y

    ct = weights(x.shape)
    value, pullback = fgrad.vjp(f, x, v)
    np.testing.assert_allclose(value, f(x, v), 1e-14, 1e-14)
    ct_x, ct_v = pullback(ct)
    np.testing.assert_array_equal(ct_x, ct)
    np.testing.assert_array_equal(ct_v, ct[key])


def check_program(x: Any, key: Any) -> None:
    program = fgrad.check(fgrad.make_program(lambda a: a[key])(x))
    assert fgrad.parse(str(program)) == program
    np.testing.assert_array_equal(program(x)[0], x[key])


CHECKS = [check_read, check_write, check_update, check_accumulation, check_program]


@pytest.mark.parametrize("check", CHECKS)
@settings(max_examples=100)
@given(pair=VALID)
def test_any_index(check: Callable[..., None], pair: Any) -> None:
    check(*pair)


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
@settings.get_profile("slow")
@given(pair=VALID)
def test_any_index_at_length(check: Callable[..., None], pair: Any) -> None:
    check(*pair)


@settings(max_examples=60)
@given(pair=VALID, data=st.data())
def test_index_of_an_index(pair: Any, data: Any) -> None:
    x, key = pair
    inner = x[key]
    if not isinstance(inner, np.ndarray) or not inner.ndim:
        return
    again = data.draw(hnp.basic_indices(inner.shape, allow_newaxis=True))
    value, pullback = fgrad.vjp(lambda a: np.sin(a[key])[again], x)
    np.testing.assert_array_equal(value, np.sin(inner)[again], strict=True)
    ct = weights(np.shape(value))
    middle = np.zeros_like(inner)
    np.add.at(middle, again, ct)
    reference = np.zeros_like(x)
    np.add.at(reference, key, middle * np.cos(inner))
    np.testing.assert_allclose(pullback(ct)[0], reference, 1e-13, 1e-13)


X = np.arange(12.0).reshape(3, 4) / 7

READS: dict[str, Callable[[Any], Any]] = {
    "np.ix_": lambda x: x[np.ix_([0, 2], [1, 1, 3])],
    "lists": lambda x: x[[0, 2, 0]],
    "negative": lambda x: x[-1, -2],
    "uint8": lambda x: x[np.array([1, 2], np.uint8)],
    "numpy integer": lambda x: x[np.int32(1), np.int64(-1)],
    "0-d array": lambda x: x[np.array(1)],
    "empty list": lambda x: x[[]],
    "empty slice": lambda x: x[2:1],
    "separated": lambda x: (
        x[None, [0, 1], :, None, [1, 2]] if x.ndim > 2 else x[[0], [1]]
    ),
    "computed": lambda x: x[np.argmax(x, axis=0), np.arange(4)],
    "computed mask": lambda x: x[x > 0.5],
    "mask and int": lambda x: x[np.array([True, False, True]), 1],
    "mask and slice": lambda x: x[np.array([True, False, True]), ::2],
    "rows of a mask": lambda x: x[x[:, 0] > 0.3],
    "take": lambda x: np.take(x, [[0, 1], [2, 0]], axis=0),
    "take flat": lambda x: x.take([11, 0, 0]),
    "take wrap": lambda x: np.take(x, [-1, 4, 9], axis=1, mode="wrap"),
    "take clip": lambda x: np.take(x, [-1, 4, 9], axis=1, mode="clip"),
    "take number": lambda x: np.take(x, 1, axis=-1),
    "take_along_axis": lambda x: np.take_along_axis(x, np.argsort(-x, axis=1), axis=1),
    "take_along_axis flat": lambda x: np.take_along_axis(x, np.array([3, 3]), None),
    "compress": lambda x: np.compress([True, False, True], x, axis=1),
    "compress flat": lambda x: np.compress([True, False, True], x),
    "extract": lambda x: np.extract(x > 0.6, x),
    "diagonal": lambda x: np.diagonal(x, 1),
    "flat": lambda x: x.flat[3:7],
    "flat list": lambda x: x.flat[[0, 0, 5]],
    "iteration": lambda x: [row[0] for row in x],
    "unpacking": lambda x: [*x[0]],
    "delete": lambda x: np.delete(x, [1], axis=1),
    "where": lambda x: x[np.where(x > 0.5)],
    "nonzero": lambda x: x[np.nonzero(x)],
    "unravel": lambda x: x[np.unravel_index([1, 5, 5], x.shape)],
    "tril": lambda x: x[np.tril_indices(3)],
    "traced index": lambda x: x[:, np.array([1, 0])][np.argsort(x[:, 0])],
}


@pytest.mark.parametrize("name", READS)
def test_reads(name: str) -> None:
    """Value and type as NumPy's; the gradient is the scatter of the cotangents."""
    f = READS[name]
    expected, treedef = fgrad.tree.flatten(f(X))
    labels = fgrad.tree.flatten(f(np.arange(12).reshape(3, 4) / 7))[0]
    value, pullback = fgrad.vjp(f, X)
    found = fgrad.tree.flatten(value)[0]
    cts = [weights(np.shape(y)) for y in expected]
    reference = np.zeros(12)
    for one, other, label, ct in zip(found, expected, labels, cts, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
        assert isinstance(one, np.ndarray) == isinstance(other, np.ndarray)
        np.add.at(reference, np.rint(np.asarray(label) * 7).astype(int), ct)
    (gradient,) = pullback(fgrad.tree.unflatten(treedef, cts))
    np.testing.assert_allclose(gradient, reference.reshape(3, 4), 1e-14, 1e-14)


def _put_along(y: Any, v: Any) -> None:
    np.put_along_axis(y, np.array([[1], [3], [0]]), v[:3, None], axis=1)


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "repeated": lambda y, v: y.__setitem__(([0, 0, 1], [1, 1, 2]), v[:3]),
    "repeated rows": lambda y, v: y.__setitem__([2, 0, 2], v[None] * [[1], [2], [3]]),
    "repeated, one value": lambda y, v: y.__setitem__([2, 0, 2], v),
    "repeated through a view": lambda y, v: y.T.__setitem__([1, 1], v[:3]),
    "repeated in a slice": lambda y, v: y[1:].__setitem__((slice(None), [3, 3]), v[:2]),
    "put": lambda y, v: np.put(y, [0, 5, 0], v[:3]),
    "put repeats values": lambda y, v: np.put(y, [0, 5, 0, 7, 9], v[:2]),
    "put wrap": lambda y, v: np.put(y, [-1, 15], v[:2], mode="wrap"),
    "put clip": lambda y, v: np.put(y, [-5, 15], v[:2], mode="clip"),
    "method put": lambda y, v: y.put([3, 3], v[:2]),
    "put_along_axis": _put_along,
    "putmask": lambda y, v: np.putmask(y, y > 0.5, v),
    "place": lambda y, v: np.place(y, y > 0.5, v[:2]),
    "copyto": lambda y, v: np.copyto(y, v),
    "copyto where": lambda y, v: np.copyto(y, v, where=y > 0.5),
    "fill_diagonal": lambda y, v: np.fill_diagonal(y, v[:3]),
    "fill_diagonal one": lambda y, v: np.fill_diagonal(y, v[0]),
    "mask, one value": lambda y, v: y.__setitem__(y > 0.5, v[0]),
    "mask, values": lambda y, v: y.__setitem__(y < 0.5, v[:4]),
    "flat": lambda y, v: y.flat.__setitem__([1, 1, 6], v[:3]),
    "flat slice": lambda y, v: y.flat.__setitem__(slice(2, 6), v),
    "fill": lambda y, v: y.fill(v[1]),
    "ix": lambda y, v: y.__setitem__(np.ix_([0, 2], [1, 3]), v[:2]),
    "ellipsis": lambda y, v: y.__setitem__((..., 0), v[:3]),
    "add.at": lambda y, v: np.add.at(y, ([0, 0], [1, 1]), v[:2]),
    "subtract.at": lambda y, v: np.subtract.at(y, [2, 2], v),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes(name: str) -> None:
    """Value, and both modes against a linearisation by NumPy: writes are linear."""
    write = WRITES[name]
    v = np.array([10.0, 20.0, 30.0, 40.0])

    def f(x: Any, v: Any) -> Any:
        y = x * 1.0
        write(y, v)
        return y

    expected = f(X, v)
    columns = [(f(X, v + unit) - expected).ravel() for unit in np.eye(4)]
    steps = (1e-3 * np.eye(12)).reshape(12, 3, 4)
    rows = [((f(X + step, v) - expected) / 1e-3).ravel() for step in steps]
    before = X.copy()
    for _ in range(2):
        value, pullback = fgrad.vjp(f, X, v)
        np.testing.assert_array_equal(value, expected, strict=True)
        ct = weights((3, 4))
        ct_x, ct_v = pullback(ct)
        np.testing.assert_allclose(ct_v, np.array(columns) @ ct.ravel(), 1e-9, 1e-9)
        np.testing.assert_allclose(
            ct_x.ravel(), np.array(rows) @ ct.ravel(), 1e-9, 1e-9
        )
        tangents = weights((3, 4)), weights((4,))
        moved = fgrad.jvp(f, (X, v), tangents)[1]
        reference = tangents[0].ravel() @ np.array(rows) + tangents[1] @ np.array(
            columns
        )
        np.testing.assert_allclose(moved.ravel(), reference, 1e-9, 1e-9)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    "key",
    [
        3,
        (0, 4),
        (0, 0, 0),
        1.0,
        "a",
        [0, 3],
        [1.5],
        np.ones((3, 3), bool),
        np.ones(4, bool),
        (..., ...),
        np.array([0.0]),
    ],
)
def test_wrong_indices_raise_as_in_numpy(key: Any) -> None:
    """Reads and writes with an index that is none raise IndexError."""

    def write(x: Any) -> Any:
        y = x * 1.0
        y[key] = 0.0
        return y

    for f in (lambda x: x[key], write):
        with pytest.raises(IndexError):
            f(X)
        with pytest.raises(IndexError):
            fgrad.vjp(f, X)


def test_zero_dimensional_mask_says_what_to_use() -> None:
    with pytest.raises(IndexError, match=r"np\.where"):
        fgrad.vjp(lambda x: x[np.array(True)], X)


def test_values_that_do_not_fit_raise() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        y[1:] = np.ones(3)
        return y

    with pytest.raises(ValueError, match="broadcast"):
        f(X)
    with pytest.raises(fgrad.errors.ShapeError, match="slot"):
        fgrad.vjp(f, X)


def test_rows_gathered_often_cost_no_dense_zeros() -> None:
    """Cotangents of gathers are added into one array, never through dense zeros."""

    def f(x: Any) -> Any:
        return sum(np.sum(x[k] ** 2) for k in range(20))

    def gradient(x: Any) -> Any:
        return fgrad.grad(f)(x)

    program = fgrad.make_program(gradient)(np.ones((20, 3)))
    names = [eqn.prim.name for eqn in program.eqns]
    assert names.count("scatter") + names.count("full") <= 1
    assert names.count("index_add") >= 19


def test_values_added_at_repeated_indices_are_broadcast() -> None:
    """NumPy 2.4's ``np.add.at`` reads past the end of values that it should repeat."""
    places, weights = np.array([[0, 1, 2], [2, 1, 0]]), np.array([1.0, 2.0, 3.0])

    def total(v: Any) -> Any:
        buffer = fgrad.numpy.zeros(3)
        np.add.at(buffer, places, v)
        return np.sum(buffer * weights)

    v = np.array([10.0, 20.0, 30.0])
    for function in (
        fgrad.value_and_grad(total),
        fgrad.jit(fgrad.value_and_grad(total)),
    ):
        for _ in range(3):
            value, gradient = function(v)
            assert value == 240.0
            assert gradient.tolist() == [4.0, 4.0, 4.0]


def test_flat_of_arrays_without_axes() -> None:
    """The one element, read and written as often as positions say; the last stays."""

    def f(x):
        y = x.copy()
        z = y[..., 0]
        read = z.flat[[0, 0]]
        np.put(z, [0, -1, 0], [1.0, 2.0, 3.0])
        z.flat[[]] = 9.0
        z.flat[[0, 0]] = x[1] * x[1:3]
        z.flat[0] = z.flat[0] + 1
        return np.sum(read * np.array([1.0, 2.0])) + np.sum(y * y)

    x = np.array([0.5, -1.5, 2.0])
    value, gradient = fgrad.value_and_grad(f)(x)
    assert value == f(x)
    # f = 3 x0 + (x1 x2 + 1)**2 + x1**2 + x2**2
    inner = 2 * (x[1] * x[2] + 1)
    expected = [3.0, inner * x[2] + 2 * x[1], inner * x[1] + 2 * x[2]]
    np.testing.assert_allclose(gradient, expected, 1e-14)
