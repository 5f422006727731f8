"""In-place histories: a tracer changes exactly as the NumPy array in its place would.

A history is a random sequence of views, reads and writes. It runs on plain arrays and
on tracers, and all handles must agree, bit for bit, at the end. The gradient through
the history must agree between both modes along each basis direction, and with central
differences.
"""

from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fgrad
import fgrad.numpy as fnp
from fgrad.testing import pair
from fgrad.trace import TRIE

Step = tuple[str, int, int, Any]  # operation, two handles, a static argument
Handles = list[Any]

# Operations that make a new handle: a view or a copy, as NumPy decides.
READS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "slice": lambda a, b, key: a[key],
    "reshape": lambda a, b, shape: a.reshape(shape),
    "np.reshape": lambda a, b, shape: np.reshape(a, shape),
    "reshape F": lambda a, b, shape: np.reshape(a, shape, order="F"),
    "ravel": lambda a, b, _: a.ravel(),
    "flatten": lambda a, b, _: a.flatten(),
    "T": lambda a, b, _: a.T,
    "swapaxes": lambda a, b, _: a.swapaxes(0, -1),
    "transpose": lambda a, b, _: np.transpose(a),
    "moveaxis": lambda a, b, _: np.moveaxis(a, 0, -1),
    "squeeze": lambda a, b, _: np.squeeze(a),
    "expand": lambda a, b, _: np.expand_dims(a, -1),
    "None": lambda a, b, _: a[None],
    "real": lambda a, b, _: a.real,
    "flip": lambda a, b, _: np.flip(a),
    "rot90": lambda a, b, _: np.rot90(a),
    "split": lambda a, b, _: np.split(a, 2)[1],
    "array_split": lambda a, b, _: np.array_split(a, 2, axis=-1)[0],
    "diagonal": lambda a, b, _: np.diagonal(a),
    "broadcast_to": lambda a, b, _: np.broadcast_to(a, (2, *a.shape)),
    "at least 2d": lambda a, b, _: np.atleast_2d(a),
    "row": lambda a, b, _: next(iter(a)),
    "view": lambda a, b, _: a.view(),
    "copy": lambda a, b, _: a.copy(),
    "np.copy": lambda a, b, _: np.copy(a),
    "fancy": lambda a, b, _: a[[-1, 0]],
    "mask": lambda a, b, _: a[a > 0],
    "zeros_like": lambda a, b, _: np.zeros_like(a),
    "sin": lambda a, b, _: np.sin(a),
    "add": lambda a, b, _: a + b,
    "where": lambda a, b, _: np.where(a > 0, a, b),
    "mean": lambda a, b, _: np.mean(a, axis=0),
    "join": lambda a, b, _: np.concatenate([a.ravel(), b.ravel()]),
}


def _shift(a: Any, b: Any, _: Any) -> None:
    a[1:] = a[:-1]


def _mirror(a: Any, b: Any, _: Any) -> None:
    a[...] = a[::-1]


# Operations that write into the memory of the first handle.
WRITES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "set": lambda a, b, key: a.__setitem__(key, 0.5),
    "set handle": lambda a, b, key: a.__setitem__(key, b),
    "set scaled": lambda a, b, key: a.__setitem__(key, 0.5 * b),
    "fill": lambda a, b, _: a.fill(0.25),
    "put": lambda a, b, _: np.put(a, [0, -1, 0], [1.0, 2.0, 3.0]),
    "put handle": lambda a, b, _: np.put(a, [1, 0, 1], b),
    "copyto": lambda a, b, _: np.copyto(a, b),
    "copyto where": lambda a, b, _: np.copyto(a, b, where=a > 0),
    "fill_diagonal": lambda a, b, _: np.fill_diagonal(a, 0.5),
    "mask": lambda a, b, _: a.__setitem__(a > 0, 0.5),
    "rows": lambda a, b, _: a.__setitem__([0, -1, 0], b),
    "out": lambda a, b, _: np.add(a, b, out=a),
    "out of another": lambda a, b, _: np.multiply(b, 0.5, out=a),
    "sin out": lambda a, b, _: np.sin(b, out=a),
    "add.at": lambda a, b, _: np.add.at(a, [0, 0], 0.5),
    "flat": lambda a, b, _: a.flat.__setitem__(0, 0.5),
    "shift": _shift,
    "mirror": _mirror,
}


def _update_slot(operation: str) -> Callable[[Handles, int, int, Any], None]:
    def update(handles: Handles, i: int, j: int, key: Any) -> None:
        if operation == "+=":
            handles[i][key] += handles[j]
        elif operation == "*=":
            handles[i][key] *= 0.5
        else:
            handles[i][key] -= 0.5 * handles[i][key]

    return update


def _update(handles: Handles, i: int, j: int, operation: str) -> None:
    if operation == "+=":
        handles[i] += handles[j]
    elif operation == "*=":
        handles[i] *= 0.5
    elif operation == "-=":
        handles[i] -= 0.25
    else:
        handles[i] += handles[i].T


UPDATES: dict[str, Callable[[Handles, int, int, Any], None]] = {
    "slot +=": _update_slot("+="),
    "slot *=": _update_slot("*="),
    "slot -=": _update_slot("-="),
    "+=": lambda handles, i, j, _: _update(handles, i, j, "+="),
    "*=": lambda handles, i, j, _: _update(handles, i, j, "*="),
    "-=": lambda handles, i, j, _: _update(handles, i, j, "-="),
    "+= T": lambda handles, i, j, _: _update(handles, i, j, "+= T"),
}
KEYED = {"slice", "set", "set handle", "set scaled", "slot +=", "slot *=", "slot -="}


def play(history: Sequence[Step], inputs: Sequence[Any]) -> Handles:
    """All live handles after the history."""
    handles = list(inputs)
    for name, i, j, argument in history:
        if name in UPDATES:
            UPDATES[name](handles, i, j, argument)
        elif name in WRITES:
            WRITES[name](handles[i], handles[j], argument)
        else:
            handles.append(READS[name](handles[i], handles[j], argument))
    return handles


def _accepted(history: list[Step], arrays: Sequence[Any]) -> Handles | None:
    """NumPy's handles, or None where it refuses the last step."""
    try:
        with np.errstate(all="raise"):
            return play(history, [x.copy() for x in arrays])
    except (ValueError, IndexError, TypeError, AttributeError, StopIteration):
        return None
    except RuntimeWarning:  # the mean of nothing
        return None


def _is_sensible(name: str, a: Any, b: Any) -> bool:
    """Leave out 0-d masks, no-ops on scalars, and NumPy's holes in read-only."""
    if name == "mask" and not np.ndim(a):
        return False
    if name in WRITES or name in UPDATES:
        return isinstance(a, np.ndarray) and a.flags.writeable and np.size(b) > 0
    return isinstance(a, np.ndarray) or name in {"sin", "add", "where"}


def _factors(draw: Any, size: int) -> tuple[int, ...]:
    divisors = [d for d in range(1, size + 1) if size % d == 0] or [0]
    first = draw(st.sampled_from(divisors))
    rest = size // first if first else 0
    return draw(st.sampled_from([(first, rest), (rest, 1, first), (-1,), (size,)]))


@st.composite
def histories(draw: Any, arrays: Sequence[Any], longest: int = 8) -> list[Step]:
    """Steps that NumPy accepts, on ever more handles."""
    history: list[Step] = []
    handles: Handles = list(arrays)
    kinds = [READS, WRITES, UPDATES]
    for _ in range(draw(st.integers(3, longest))):
        name = draw(st.sampled_from(sorted(draw(st.sampled_from(kinds)))))
        i, j = (draw(st.integers(0, len(handles) - 1)) for _ in range(2))
        argument: Any = None
        if name in KEYED:
            shape = np.shape(handles[i])
            argument = draw(hnp.basic_indices(shape, allow_newaxis=False))
        elif "reshape" in name:
            argument = _factors(draw, int(np.size(handles[i])))
        if not _is_sensible(name, handles[i], handles[j]):
            continue
        found = _accepted([*history, (name, i, j, argument)], arrays)
        if found is not None:
            history.append((name, i, j, argument))
            handles = found
    return history


# In general position, so that no mask switches at a value that a history makes.
REAL = (
    np.arange(1.0, 13.0).reshape(3, 4) / 7.13 - 0.6171,
    np.array([0.313, -0.827, 0.541, 1.139]),
)
SQUARE = (
    np.arange(1.0, 10.0).reshape(3, 3) / 7.13 - 0.6171,
    np.array([[0.413], [-0.327], [0.241]]),
)
COMPLEX = (REAL[0] + 1j * REAL[0][::-1], REAL[1] * (1 - 0.5j))


def cotangents(values: Handles) -> Handles:
    """A random array for each handle, of its shape and dtype."""
    rng = np.random.default_rng(7)
    drawn = [np.asarray(rng.standard_normal(np.shape(y))) for y in values]
    types = [np.result_type(y) for y in values]
    return [x.astype(dtype)[()] for x, dtype in zip(drawn, types, strict=True)]


def basis(arrays: Sequence[Any]) -> list[list[Any]]:
    """Unit directions; for complex arrays those of the imaginary parts, too."""
    directions = []
    for number, array in enumerate(arrays):
        for element in range(array.size):
            for unit in (1, 1j) if np.iscomplexobj(array) else (1,):
                direction = [np.zeros_like(x) for x in arrays]
                direction[number].reshape(-1)[element] = unit
                directions.append(direction)
    return directions


def assert_same_handles(found: Handles, expected: Handles) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def check_history(history: list[Step], arrays: Sequence[Any]) -> None:
    """Values, both modes along each basis direction, and central differences."""

    def f(*xs: Any) -> Handles:
        return play(history, xs)

    before = [x.copy() for x in arrays]
    expected = f(*[x.copy() for x in arrays])
    value, pullback = fgrad.vjp(f, *arrays)
    assert_same_handles(value, expected)
    cts = cotangents(expected)
    gradient = pullback(cts)
    same, push = fgrad.linearize(f, *arrays)
    assert_same_handles(same, expected)
    size = 1 + sum(float(np.max(np.abs(g), initial=0)) for g in gradient)
    for direction in basis(arrays):
        pushed = pair(cts, push(*direction))
        assert abs(pair(gradient, direction) - pushed) <= 1e-12 * size
    check_differences(f, arrays, cts, gradient)
    assert_same_handles(list(arrays), before)
    fgrad.tree.map_leaves(_overwrite, value)
    assert_same_handles(list(arrays), before)
    again = fgrad.vjp(f, *arrays)[1](cts)
    assert_same_handles(list(again), list(gradient))


def _overwrite(leaf: Any) -> Any:
    """Results are the caller's own: writing to them must change nothing else."""
    if isinstance(leaf, np.ndarray):
        leaf[...] = -77.0
    return leaf


def check_differences(
    f: Callable[..., Handles], arrays: Sequence[Any], cts: Handles, gradient: Any
) -> None:
    rng = np.random.default_rng(3)
    direction = [rng.standard_normal(x.shape) for x in arrays]
    errors = []
    for step in (1e-3, 1e-4, 1e-5):
        ends = []
        for sign in (step, -step):
            moved = [x + sign * t for x, t in zip(arrays, direction, strict=True)]
            ends.append(f(*moved))
        if list(map(np.shape, ends[0])) != list(map(np.shape, cts)) or (
            list(map(np.shape, ends[1])) != list(map(np.shape, cts))
        ):
            return  # a mask changed: the function is not smooth here
        slope = (pair(cts, ends[0]) - pair(cts, ends[1])) / (2 * step)
        found = pair(gradient, direction)
        errors.append(abs(slope - found) / (1 + abs(slope)))
    assert min(errors) <= 1e-6, errors


def check_program(history: list[Step], arrays: Sequence[Any]) -> None:
    """The recorded program is pure: it computes the same without any writes."""
    before = [x.copy() for x in arrays]
    program = fgrad.check(fgrad.make_program(lambda *xs: play(history, xs))(*arrays))
    assert fgrad.parse(str(program)) == program
    expected = play(history, [x.copy() for x in arrays])
    for _ in range(2):
        for one, other in zip(program(*arrays), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert_same_handles(list(arrays), before)


def check_types_only(history: list[Step], arrays: Sequence[Any]) -> None:
    """So does the program traced from shapes and dtypes alone."""
    avals = [fgrad.Aval(x.shape, x.dtype) for x in arrays]
    try:
        program = fgrad.make_program(lambda *xs: play(history, xs))(*avals)
    except fgrad.errors.ConcretizationError:
        return  # a mask, whose number of elements depends on values
    before = [x.copy() for x in arrays]
    expected = play(history, [x.copy() for x in arrays])
    for one, other in zip(program(*arrays), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert_same_handles(list(arrays), before)


def test_views_without_axes_are_arrays_where_only_types_are_known() -> None:
    """A read by numbers alone gives a number, which nothing writes back."""

    def f(x: Any) -> Any:
        y = x * 1.0
        view, number = y[..., 0, 1], y[1, 1]
        line = view[None]
        view *= 10.0
        number += 5.0
        y[0, 2] = line[0] + line.reshape(())
        return y

    x = np.arange(6.0).reshape(2, 3)
    program = fgrad.make_program(f)(fgrad.Aval(x.shape, x.dtype))
    np.testing.assert_array_equal(program(x)[0], f(x))
    assert f(x)[0, 1] == 10.0 and f(x)[0, 2] == 20.0


def check_nested(history: list[Step], arrays: Sequence[Any]) -> None:
    """The second derivative through the history: all three nestings agree."""
    before = [x.copy() for x in arrays]
    expected = play(history, [x.copy() for x in arrays])
    cts = cotangents(expected)
    directions = [np.cos(np.arange(x.size)).reshape(x.shape) for x in arrays]
    wrt = tuple(range(len(arrays)))

    def loss(*xs: Any) -> Any:
        values = play(history, xs)
        return sum(np.sum(ct * np.sin(y)) for ct, y in zip(cts, values, strict=True))

    def gradient(*xs: Any) -> Any:
        return fgrad.grad(loss, wrt)(*xs)

    def slope(*xs: Any) -> Any:
        return fgrad.jvp(loss, xs, directions)[1]

    def along(*xs: Any) -> Any:
        products = zip(gradient(*xs), directions, strict=True)
        return sum(np.sum(g * t) for g, t in products)

    over_reverse = fgrad.jvp(gradient, tuple(arrays), tuple(directions))[1]
    reverse_reverse = fgrad.grad(along, wrt)(*arrays)
    reverse_forward = fgrad.grad(slope, wrt)(*arrays)
    rows = zip(over_reverse, reverse_reverse, reverse_forward, strict=True)
    for expected_row, one, other in rows:
        scale = 1 + float(np.max(np.abs(expected_row), initial=0.0))
        np.testing.assert_allclose(one, expected_row, 0, 1e-11 * scale)
        np.testing.assert_allclose(other, expected_row, 0, 1e-11 * scale)
    value = fgrad.value_and_grad(loss, wrt)(*arrays)[0]
    assert value == loss(*[x.copy() for x in arrays])
    assert_same_handles(list(arrays), before)


CHECKS = [check_history, check_program, check_types_only, check_nested]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("arrays", [REAL, SQUARE], ids=["oblong", "square"])
@settings(max_examples=60)
@given(data=st.data())
def test_histories(check: Any, arrays: Any, data: Any) -> None:
    check(data.draw(histories(arrays)), arrays)


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("arrays", [REAL, SQUARE], ids=["oblong", "square"])
@settings.get_profile("slow")
@given(data=st.data())
def test_histories_at_length(check: Any, arrays: Any, data: Any) -> None:
    check(data.draw(histories(arrays, longest=14)), arrays)


@settings(max_examples=60)
@given(data=st.data())
def test_complex_histories(data: Any) -> None:
    ordered = {"mask", "copyto where", "where"}  # complex numbers are not ordered
    history = data.draw(
        histories(COMPLEX).filter(
            lambda steps: not ordered & {step[0] for step in steps}
        )
    )
    check_history(history, COMPLEX)


@settings(max_examples=40)
@given(data=st.data())
def test_single_precision_histories(data: Any) -> None:
    """Writes cast to the dtype of the array that is written to."""
    arrays = (REAL[0].astype("float32"), REAL[1])
    history = data.draw(histories(arrays))
    expected = play(history, [x.copy() for x in arrays])
    value, pullback = fgrad.vjp(lambda *xs: play(history, xs), *arrays)
    assert_same_handles(value, expected)
    assert [g.dtype for g in pullback(cotangents(expected))] == ["float32", "float64"]


# --- single cases, each a known trap


def both(f: Callable[[Any], Any], x: Any) -> Any:
    """NumPy's result, after checking that the traced one is the same."""
    expected = f(x.copy())
    value, _ = fgrad.vjp(f, x)
    for one, other in zip(
        fgrad.tree.flatten(value)[0], fgrad.tree.flatten(expected)[0], strict=True
    ):
        np.testing.assert_array_equal(one, other, strict=True)
    return expected


def test_write_through_a_view_reaches_the_base() -> None:
    def f(x: Any) -> Any:
        y = x[1:]
        y[0] = 0.0
        return np.sum(x**2)

    np.testing.assert_array_equal(fgrad.grad(f)(np.ones(3)), [2.0, 0.0, 2.0])


def test_write_to_the_base_reaches_the_view() -> None:
    def f(x: Any) -> Any:
        y = x.T[1]
        x[...] = 3.0 * x
        return np.sum(y)

    np.testing.assert_array_equal(fgrad.grad(f)(np.ones((2, 2))), [[0, 3], [0, 3]])


def test_reshape_of_a_transpose_is_a_copy() -> None:
    def f(x: Any) -> Any:
        y = x.T.reshape(-1)
        y[0] = 100.0
        return x, y

    both(f, np.arange(6.0).reshape(2, 3))


def test_real_and_imaginary_parts_are_views() -> None:
    def f(z: Any) -> Any:
        part = z.real
        part[0] = 5.0
        z.imag[1] = 7.0
        return z, part

    both(f, np.array([1 + 2j, 3 - 1j]))


def test_setting_real_and_imaginary_parts() -> None:
    def f(z: Any) -> Any:
        z.real = [5.0, 6.0]
        z.imag *= 2.0
        return z

    both(f, np.array([1 + 2j, 3 - 1j]))


def test_diagonal_shows_later_writes() -> None:
    def f(x: Any) -> Any:
        d = np.diagonal(x)
        x[0, 0] = 5.0
        return d

    both(f, np.eye(3))


def test_broadcast_view_shows_later_writes_and_is_read_only() -> None:
    def f(x: Any) -> Any:
        wide = np.broadcast_to(x, (2, 3))
        x[0] = 5.0
        return wide

    def write(x: Any) -> Any:
        np.broadcast_to(x, (2, 3))[0] = 1.0
        return x

    both(f, np.ones(3))
    for run in (write, lambda x: fgrad.vjp(write, x)):
        with pytest.raises(ValueError, match="read-only"):
            run(np.ones(3))


def test_overlapping_assignment_reads_before_it_writes() -> None:
    def f(x: Any) -> Any:
        x[1:] = x[:-1]
        x[::-1] += x
        return x

    both(f, np.arange(5.0))


def test_residuals_are_taken_before_the_write() -> None:
    """The pullback of ``x * x`` needs the old x."""

    def f(x: Any) -> Any:
        y = x * x
        z = np.sin(x[:2])
        x[...] = 100.0
        return np.sum(y) + np.sum(z)

    expected = 2 * np.arange(3.0) + [1.0, np.cos(1.0), 0.0]
    np.testing.assert_allclose(fgrad.grad(f)(np.arange(3.0)), expected)


def test_constants_written_to_keep_their_old_value_in_the_gradient() -> None:
    def f(x: Any) -> Any:
        scale = np.array([1.0, 2.0])
        y = x * scale
        scale[...] = 100.0
        return np.sum(y)

    np.testing.assert_array_equal(fgrad.grad(f)(np.ones(2)), [1.0, 2.0])


def test_large_constant_that_changes_is_refused() -> None:
    def f(x: Any) -> Any:
        scale = np.ones(100_000)
        y = x * scale
        scale[...] = 100.0
        return np.sum(y)

    with pytest.raises(fgrad.errors.MutatedConstantError, match="copy"):
        fgrad.grad(f)(np.ones(100_000))


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_of_cotangents_and_tangents_does_not_matter(order: Any) -> None:
    """A flat view of the primal has none in a tangent of another memory order."""

    def f(x: Any) -> Any:
        y = x * 1.0
        flat = y.reshape(-1)
        flat[1] = 0.0
        flat[[2, 2]] += 1.0
        y[0, 0:0] *= 2.0
        return y.T

    x = np.arange(6.0).reshape(2, 3)
    ct = np.asarray(np.arange(1.0, 7.0).reshape(3, 2), order=order)
    expected = ct.T * [[1, 0, 1], [1, 1, 1]]
    for _ in range(2):
        value, pullback = fgrad.vjp(f, x)
        np.testing.assert_array_equal(value, f(x))
        np.testing.assert_array_equal(pullback(ct)[0], expected)
        tangent = np.asarray(ct.T, order=order)
        moved = fgrad.jvp(f, (x,), (tangent,))[1]
        np.testing.assert_array_equal(moved, expected.T)


def test_reshape_of_a_transpose_is_a_copy_without_values_too() -> None:
    def f(x: Any) -> Any:
        y = x.T.reshape(-1)
        y[0] = 100.0
        z = x[:, 1:].reshape(-1)
        z[0] = 200.0
        v = x[1:].reshape(-1)
        v[0] = 300.0
        return x

    x = np.arange(6.0).reshape(2, 3)
    program = fgrad.make_program(f)(fgrad.Aval((2, 3), "float64"))
    np.testing.assert_array_equal(program(x)[0], [[0, 1, 2], [300, 4, 5]])


def test_ravel_of_a_strided_view_is_a_copy() -> None:
    """Unlike ``reshape(-1)``, which can be a view with strides."""

    def f(x: Any) -> Any:
        views = [x[::-1, ::-1], x[:, 0], np.diagonal(x), x.T]
        flat = [np.ravel(view) for view in views]
        reshaped = [view.reshape(-1) for view in views]
        contiguous = x[1:].ravel()
        x += 1.0
        return flat, reshaped, contiguous

    both(f, np.arange(9.0).reshape(3, 3))


def test_nested_runs_teach_nothing_wrong() -> None:
    """Which results are views must not depend on what ran before."""

    def f(x: Any) -> Any:
        np.add.at(x[None], [0, 0], 0.5)
        cell = x[..., 0, 0]
        view = cell[None]
        flat = x.reshape(-1)
        np.add.at(x, [0, 0], 0.5)
        return cell, view, flat

    def nested(x: Any) -> Any:
        inner = lambda y: np.sum(np.sin(f(y)[1])) + np.sum(f(y)[2] ** 2)
        return np.sum(fgrad.grad(inner)(x))

    for run in (fgrad.grad(nested), lambda x: fgrad.jvp(nested, (x,), (x,))[1]):
        TRIE.clear()
        run(np.ones((2, 2)))
        both(f, np.zeros((2, 2)))


def test_scalars_are_rebound_not_changed() -> None:
    def f(x: Any) -> Any:
        first = x[0]
        kept = first
        first += 1.0
        return first, kept, x

    both(f, np.arange(3.0))


def test_zero_dimensional_arrays_are_changed() -> None:
    def f(x: Any) -> Any:
        cell = x[1, ...]
        cell[...] = 5.0
        cell += 1.0
        y = cell.copy()
        y[()] = 2.0
        return x, cell, y

    both(f, np.arange(3.0))


def test_zero_dimensional_argument_is_changed() -> None:
    def f(x: Any) -> Any:
        y = x
        x += 1.0
        x[...] *= 2.0
        return y

    both(f, np.array(3.0))


def test_integer_arrays_in_place() -> None:
    def f(x: Any) -> Any:
        order = np.argsort(x)
        order[0] = 2
        order += 1
        counts = np.zeros_like(x, dtype=int)
        np.add.at(counts, order % 3, 1)
        return x[order % 3], counts

    both(f, np.array([0.3, 0.1, 0.2]))


def test_casts_that_numpy_refuses_are_refused() -> None:
    def f(x: Any) -> Any:
        y = np.zeros_like(x, dtype=int)
        y += x
        return y

    for run in (f, lambda x: fgrad.vjp(f, x)):
        with pytest.raises(TypeError, match=r"same_kind|fgrad\.numpy"):
            run(np.ones(3))


def test_shapes_that_do_not_fit_are_refused() -> None:
    def f(x: Any) -> Any:
        y = x.copy()
        y += np.ones((2, 3))
        return y

    for run in (f, lambda x: fgrad.vjp(f, x)):
        with pytest.raises(ValueError, match="shape"):
            run(np.ones(3))


@pytest.mark.parametrize("make", [fnp.zeros, fnp.empty, fnp.ones])
def test_buffers_of_the_front_door_receive_traced_values(make: Any) -> None:
    def f(x: Any) -> Any:
        y = make(4)
        y[...] = 1.0
        for k in range(1, 4):
            y[k] = y[k - 1] * x
        return y[3]

    assert fgrad.grad(f)(2.0) == 12.0
    assert fgrad.grad(fgrad.grad(f))(2.0) == 12.0


def test_raw_buffers_refuse_traced_values() -> None:
    def f(x: Any) -> Any:
        y = np.zeros(2)
        y[0] = x
        return np.sum(y)

    with pytest.raises(fgrad.errors.TracerConversionError, match=r"fgrad\.numpy"):
        fgrad.grad(f)(1.0)


def test_writes_in_an_inner_function() -> None:
    """A write of an inner tracer into an inner copy of an outer array."""

    def f(x: Any) -> Any:
        def inner(s: Any) -> Any:
            y = x * s
            y[0] = s**2
            return np.sum(y * x)

        return fgrad.grad(inner)(x[1])

    x = np.array([2.0, 3.0])
    # inner'(s) at s = x1: 2 s x0 + x1^2
    np.testing.assert_allclose(f(x), 2 * 3.0 * 2.0 + 9.0)
    np.testing.assert_allclose(fgrad.grad(f)(x), [2 * 3.0, 2 * 2.0 + 2 * 3.0])


def test_slot_updates_do_not_copy_the_array() -> None:
    """One update of a slot costs the slot: the value is overwritten, not copied."""
    owners = []

    def f(x: Any) -> Any:
        y = x * 1.0
        for k in range(5):
            y[k] = 0.5 * y[k]
            owners.append(y.value)
        return np.sum(y)

    fgrad.grad(f)(np.ones(8))
    assert all(value is owners[0] for value in owners)


def test_flat_writes_to_an_array_without_axes() -> None:
    def put(x: Any) -> Any:
        out = np.copy(x)
        np.put(out, 0, 3.0 * x)
        out.flat[-1] = out.flat[0] * x
        return out + 0.0

    assert put(2.0) == 12.0
    assert fgrad.grad(put)(2.0) == 12.0


def test_writes_through_views_of_views_as_source():
    def f(x):
        y = x * 2.0
        y.reshape(6)[1:][::2][...] = 7.0
        y.T[1:][0] += 1.0
        rows = y[1:]
        rows[0, ...][1:] *= 3.0
        return y

    x = np.arange(6.0).reshape(2, 3)
    jitted = fgrad.jit(f)
    for _ in range(4):
        np.testing.assert_array_equal(jitted(x), f(x))
