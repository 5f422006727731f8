"""Python's branches, loops and indices on values of a jitted function."""

import numpy as np
import pytest
from test_jit import M, X, counted, same

import fgrad
import fgrad.numpy as fnp


def alternate(f, *arguments, paths=None, **options):
    """The function itself is the oracle; each path is traced once."""
    count = counted(f)
    jitted = fgrad.jit(count, **options)
    for _ in range(3):
        for args in arguments:
            args = args if isinstance(args, tuple) else (args,)
            same(jitted(*args), f(*args))
    if paths is not None:
        assert count.runs == paths == jitted.cache_info().paths
    return jitted


def sign(x):
    if x > 0:
        return "one" and x * 2
    if x < 0:
        return -x
    return x + 10


def nested(x, y):
    if x > 0:
        if y > 0:
            return x + y
        z = x * y
        return z if z < -5 else z * 2
    if y > 0 and x < -3:
        return x / y
    return np.float64(0.0) if y == x else y - x


NUMBERS = [np.float64(x) for x in (1.0, -1.0, 0.0, 3.0, -3.0, np.nan, np.inf)]


def test_branches():
    alternate(sign, *NUMBERS, paths=3)
    alternate(sign, *[np.float32(x) for x in NUMBERS], paths=3)
    pairs = [(x, y) for x in NUMBERS for y in NUMBERS]
    with np.errstate(all="ignore"):
        alternate(nested, *pairs)
    alternate(lambda x: x if not x else x * 2, *NUMBERS, paths=2)
    alternate(lambda x: max(x, 0.5) + min(x, 0.25), *NUMBERS[:5], paths=2)
    alternate(lambda x, y: x if x is y else y, (X, X), (X, M), paths=2)
    alternate(lambda x: sorted(x)[1], X, -X, X[::-1].copy())
    alternate(lambda x: x if 1.0 in x else -x, X, np.ones(3), paths=2)


def test_two_conditions_before_two_branches():
    """The second guard stands at the same place in the record as the first."""

    def f(x, y):
        first, second = x > 0, y > 0
        a = 1.0 if first else 2.0
        b = 10.0 if second else 20.0
        c = 100.0 if first else 200.0
        return x * (a + b + c)

    pairs = [(x, y) for x in NUMBERS for y in NUMBERS]
    with np.errstate(all="ignore"):
        alternate(f, *pairs, paths=4)


def test_loops():
    def halve(x, tol):
        steps = 0
        while abs(x) > tol:
            x = x * 0.5
            steps += 1
        return x, steps

    alternate(halve, *[(np.float64(x), 0.1) for x in (5.0, 1.0, 0.01, 7.0, 80.0)])

    def newton(a, tol=1e-10):
        x, err = a, a
        while err > tol:
            new = 0.5 * (x + a / x)
            err, x = abs(new - x), new
        return x

    alternate(newton, *[np.float64(x) for x in (2.0, 3.0, 9.0, 100.0, 2.5)])
    gradient = fgrad.grad(newton)
    jitted = fgrad.jit(gradient)
    for a in (2.0, 9.0, 100.0, 2.0, 9.0, 100.0):
        np.testing.assert_allclose(jitted(a), gradient(a), 1e-14)

    def ranged(x, n):
        for k in range(int(n)):
            x = x * (k + 1.5)
        return x

    alternate(ranged, *[(X, np.float64(n)) for n in (3.7, 0.0, 5.0, 3.1)], paths=3)
    alternate(ranged, *[(X, n) for n in (3, 0, 5, 3)], paths=3)
    alternate(lambda x, n: sum(x * k for k in range(n)), (X, 3), (X, 1), (X, 2))
    alternate(lambda x, n: np.zeros(n) + x, (1.5, 3), (1.5, 1), paths=2)
    alternate(lambda x, n: [x] * int(n), (X, 3), (X, 0))
    alternate(lambda x, n: "abc"[n] == "b" and x, (X, 0), (X, 1))


def test_values_as_indices():
    vectors = [X, -X, np.sort(X), X[::-1].copy(), np.abs(X), np.zeros(3)]
    alternate(lambda x: x[x > 0], *vectors)
    alternate(lambda x: x[np.nonzero(x)] * 2, *vectors)
    alternate(lambda x: np.flatnonzero(x > 0.2), *vectors)
    alternate(lambda x: x[np.argmax(x)], *vectors)
    alternate(lambda x: x[x.argmin() :].sum(), *vectors)
    alternate(lambda x: x[np.argsort(x)], *vectors, paths=1)
    alternate(lambda x: [1.0, 2.0, 3.0][np.argmax(x)] * x, *vectors)
    alternate(lambda x: np.where(x > 0)[0] + 1, *vectors)
    alternate(lambda x, n: x[n], *[(X, n) for n in (0, 1, -1, 2)])
    alternate(lambda x, n: x[:n], *[(X, n) for n in (0, 1, -1, 2)])
    alternate(lambda x, n: x[n:].sum() + x[n], *[(X, n) for n in (0, 1, -1)])
    alternate(lambda x, n: np.repeat(x, int(n)), *[(X, n) for n in (0, 1, 3)])
    alternate(lambda x: np.unique(x), *vectors)
    alternate(lambda x: len(x[x > 0]) * x, *vectors)

    def write(x, n):
        out = x * 1
        out[n] = 5.0
        out[x > 0.5] = -1.0
        return out

    alternate(write, *[(x, n) for x in vectors for n in (0, 1, -1)])


def test_indices_that_change_keep_bounds():
    jitted = fgrad.jit(lambda x, n: x[n])
    assert [jitted(X, n) for n in (0, 1, 2, -3)] == [X[0], X[1], X[2], X[-3]]
    for n in (3, -4):
        with pytest.raises(IndexError):
            jitted(X, n)
    assert jitted(X, 1) == X[1]


def test_branches_inside_transforms():
    def f(x):
        y = x * x
        if np.sum(y) > 1:
            y = y * x[0]
            if x[0] < 0:
                return np.sum(y)
        return np.sum(y * y) + (x[1] if x[1] > 0 else 0.0)

    points = [X, -X, X * 0.1, -X * 0.1, X * 3]
    for transform in (fgrad.grad, fgrad.value_and_grad, fgrad.hessian, fgrad.jacrev):
        derived = transform(f)
        jitted = fgrad.jit(derived)
        for x in points * 2:
            found, wanted = jitted(x), derived(x)
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_allclose(one, other, 1e-14, 1e-14)
        assert jitted.cache_info().misses == jitted.cache_info().paths <= 5
    pushed = fgrad.jit(lambda x, t: fgrad.jvp(f, (x,), (t,)))
    for x in points * 2:
        np.testing.assert_allclose(pushed(x, X), fgrad.jvp(f, (x,), (X,)), 1e-14)
    over = fgrad.jit(fgrad.vmap(lambda x, k: x * 2 if k > 0 else -x, (0, None)))
    for k in (1.0, -1.0, 1.0, -1.0):
        same(over(M, k), M * 2 if k > 0 else -M)
    assert over.cache_info().paths == 2
    with pytest.raises(fgrad.errors.ConcretizationError):
        fgrad.jit(fgrad.vmap(lambda x: x if x > 0 else -x))(X)


def test_errors_of_other_paths_stay_away():
    def safe(x, y):
        if y == 0:
            return x
        return x / y

    with np.errstate(all="raise"):
        alternate(safe, *[(np.float64(1.0), np.float64(y)) for y in (2.0, 0.0, 3.0)])

    def indexed(x, n):
        if n < 3:
            return x[n]
        return x.sum()

    alternate(indexed, (X, 1), (X, 7), (X, 2))

    def checked(x):
        if np.any(x < 0):
            raise ValueError("negative")
        return np.sqrt(x)

    jitted = fgrad.jit(checked)
    for _ in range(3):
        same(jitted(abs(X)), np.sqrt(abs(X)))
        with pytest.raises(ValueError, match="negative"):
            jitted(-abs(X))
    assert jitted.cache_info().paths == 1

    def solved(a, b):
        if np.linalg.det(a) == 0:
            return b
        return np.linalg.solve(a, b)

    alternate(solved, (np.eye(3), X), (np.zeros((3, 3)), X), (np.eye(3) * 2, X))

    def asserted(x):
        assert x > 0, "positive"
        return x * 2

    jitted = fgrad.jit(asserted)
    assert jitted(1.0) == jitted(1.0) == 2.0
    with pytest.raises(AssertionError, match="positive"):
        jitted(-1.0)


def test_too_many_paths():
    f = counted(lambda x, n: x * sum(range(int(n))))
    jitted = fgrad.jit(f, max_paths=3)
    for n in (1, 2, 3):
        same(jitted(X, n), X * sum(range(n)))
    for n in (4, 5, 4):
        with pytest.raises(fgrad.errors.JitError, match="max_paths") as info:
            jitted(X, n)
    text = str(info.value)
    assert "fgrad.cond" in text and "np.where" in text and "3 paths" in text
    assert f.runs == 3
    for n in (3, 1, 2):
        same(jitted(X, n), X * sum(range(n)))
    same(jitted(X[:2], 4), X[:2] * 6)
    assert f.runs == 4
    jitted.clear_cache()
    same(jitted(X, 4), X * 6)


def test_conversions():
    for convert in (float, complex, np.asarray, lambda x: x.item()):
        jitted = fgrad.jit(lambda x: x * convert(x))
        with pytest.raises(fgrad.errors.TracerConversionError):
            jitted(np.float64(2.0))
        assert jitted.cache_info().paths == 0
    same(fgrad.jit(lambda x: x * int(x))(2.5), 5.0)


def test_showing_records_no_guard(capsys):
    def f(x):
        print(x, repr(x), f"{x} {x[0]:.2f}", str(x[0]))
        return x * 2

    jitted = fgrad.jit(f)
    names = [eqn.prim.name for eqn in jitted.lower(X).eqns]
    assert names == ["multiply"]
    for x in (X, -X, X * 2):
        same(jitted(x), x * 2)
    assert jitted.cache_info().misses == 1
    assert "0.3" in capsys.readouterr().out


def test_guards_on_arrays_are_exact():
    f = lambda x, mask: x[mask]
    masks = [np.array([a, b, c]) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    alternate(f, *[(X, mask.astype(bool)) for mask in masks], paths=8)
    alternate(f, *[(X, np.array(rows)) for rows in ([0, 1], [2, 2], [-1, 0])], paths=1)


def test_results_of_other_structure():
    def f(x):
        if x > 1:
            return {"a": x}
        if x > 0:
            return (x, None)
        return [x.astype("float32"), np.ones(2)] if x > -1 else 3

    alternate(f, *[np.float64(x) for x in (2.0, 0.5, -0.5, -3.0)], paths=4)


def test_guards_on_large_arrays():
    big = np.sin(np.arange(10000.0)).reshape(100, 100)

    def f(x):
        total = np.sum(x)
        rows = x[np.any(x > 0.999, axis=1)]
        return total, rows.sum(), x if total > 0 else -x

    alternate(f, big, -big, big.T.copy(), big)


def test_state_of_python_belongs_to_the_trace():
    """Lists and counters change when f is traced: once for each path."""
    log = []

    def f(x):
        log.append(1)
        return x if x > 0 else -x

    jitted = fgrad.jit(f)
    for x in (1.0, 1.0, -1.0, -1.0, 1.0):
        assert jitted(x) == 1.0
    assert len(log) == 2


INTEGERS = {
    "tile": lambda x, n: np.tile(x, n),
    "reshape": lambda x, n: np.reshape(np.outer(x, x[:2]), (n, -1)),
    "eye": lambda x, n: np.eye(n) * x[0],
    "zeros": lambda x, n: fnp.zeros((n, 2)) + x[0],
    "full": lambda x, n: fnp.full(n, x[0]),
    "axis": lambda x, n: np.sum(np.ones((2, 3, 4, 5)), axis=n) * x[0],
    "power": lambda x, n: x**n,
    "diff": lambda x, n: np.diff(x, n),
    "take": lambda x, n: np.take(x, n - 1),
    "shift": lambda x, n: x * (1 << n),
    "divmod": lambda x, n: divmod(x, n),
    "round": lambda x, n: np.round(x, n),
    "slice": lambda x, n: x[slice(0, n)],
    "range": lambda x, n: [x * k for k in range(n, 5)],
    "in": lambda x, n: x if n in (1, 3) else -x,
    "where": lambda x, n: np.where(n > 1, x, 0),
    "dict": lambda x, n: {1: x, 2: -x, 3: x * 2}[int(n)],
    "matrix power": lambda x, n: np.linalg.matrix_power(np.outer(x, x), n),
    "rot90": lambda x, n: np.rot90(np.outer(x, x + 1), n),
    "swapaxes": lambda x, n: np.swapaxes(np.ones((2, 3, 4, 5)), 0, n) * x[0],
    "nonzero": lambda x, n: np.count_nonzero(x > 0.1 * n),
    "digitize": lambda x, n: np.digitize(x, np.array([0.0, 0.5]) * n),
    "argwhere": lambda x, n: np.argwhere(x * n > 0.5),
    "compress": lambda x, n: np.compress(x * n > 0.5, x),
    "extract": lambda x, n: np.extract(x * n > 0.5, x),
    "trim": lambda x, n: np.trim_zeros(np.where(x * n > 0.5, x, 0)),
    "cast index": lambda x, n: x[(x * n * 0.5).astype(int)],
    "scan": lambda x, n: fgrad.scan(lambda c, _: (c * 2, c), x, length=n),
    "fori_loop": lambda x, n: fgrad.fori_loop(0, n, lambda i, s: s * i + x, x),
    "gradient": lambda x, n: fgrad.grad(lambda y: np.sum(y * int(y[0] * n * 5)))(x),
    "argmax": lambda x, n: fgrad.grad(lambda y: y[np.argmax(y * n)] ** 2)(x),
    "mask": lambda x, n: fgrad.grad(lambda y: np.sum(y[y * n > 0.5] ** 2))(x),
    "pullback": lambda x, n: fgrad.vjp(lambda y: y[:n] * 2, x)[1](x[:n])[0],
    "vmap": lambda x, n: fgrad.vmap(lambda y, k: y * sum(range(k)), (0, None))(x, n),
    "stop": lambda x, n: x if fgrad.stop_gradient(x[n - 1]) > 0 else -x,
    "tuple": lambda x, n: np.ones((2,) * n) * x[0],
    "name": lambda x, n: {"w1": x, "w2": -x, "w3": x * 2}[f"w{n}"],
    "repeat": lambda x, n: np.repeat(x, n),
    "tile of tuple": lambda x, n: np.tile(x, (n, 2)),
    "roll": lambda x, n: np.roll(x, n),
    "split": lambda x, n: np.split(x, [n]),
    "pad": lambda x, n: np.pad(x, n),
    "triu": lambda x, n: np.triu(np.outer(x, x), n),
    "delete": lambda x, n: np.delete(x, n - 1),
    "insert": lambda x, n: np.insert(x, n - 1, 5.0),
    "broadcast": lambda x, n: np.broadcast_to(x, (n, 3)),
    "partition": lambda x, n: np.partition(x, n - 1),
    "mask as list": lambda x, n: fgrad.grad(lambda y: np.sum(y[(y > 0).tolist()]))(x),
    "float of int": lambda x, n: x * float(n),
    # for which int(n) or a static argument helps
    "arange": lambda x, n: np.arange(n) + x[0],
    "linspace": lambda x, n: fnp.linspace(0, x[0], n),
    "key": lambda x, n: {1: x, 2: -x, 3: x * 2}[n],
}
KNOWN_GAPS = list(INTEGERS)[list(INTEGERS).index("arange") :]


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_that_are_values(name, request):
    """What becomes a shape, an axis or an index is guarded."""
    if name in KNOWN_GAPS:
        marker = pytest.mark.xfail(reason="known gap: integers of a trace", strict=True)
        request.applymarker(marker)
    points = [(X, 1), (-X, 2), (X, 3), (X[::-1].copy(), 1), (np.abs(X) * 2, 2)]
    alternate(INTEGERS[name], *points)
