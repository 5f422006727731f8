"""Every error: the failing program of its page raises it, the repaired one runs."""

import inspect
import math
import re
import textwrap

import numpy as np
import pytest

import fgrad
import fgrad.primitive
from fgrad import errors

CLASSES = [
    cls
    for cls in vars(errors).values()
    if inspect.isclass(cls)
    and issubclass(cls, errors.FgradError)
    and cls is not errors.FgradError
]


def code_blocks(docstring):
    """The literal blocks of a docstring."""
    text = inspect.cleandoc(docstring)
    blocks = re.findall(r"::\n\n((?:(?:    .*)?\n)*(?:    .*)?)", text)
    return [textwrap.dedent(block) for block in blocks]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_page_of_error(cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failing, repaired = code_blocks(cls.__doc__)
    scope = {"np": np, "fgrad": fgrad}
    try:
        with pytest.raises(cls):
            exec(failing, scope)
        exec(repaired, scope)
    finally:
        fgrad.primitive.Primitive.registry.pop("bare", None)


def raised(cls, function, *args):
    with pytest.raises(cls) as info:
        function(*args)
    return str(info.value)


def gradient(function, x=None):
    return fgrad.grad(function)(np.ones(3) if x is None else x)


def test_advice_for_conversions():
    for convert in (
        lambda x: float(x[0]),
        lambda x: math.sin(x[0]),
        lambda x: np.asarray(x).sum(),
        lambda x: np.array([x[0], x[1]]).sum(),
        lambda x: x.tolist(),
        lambda x: x[0].item(),
        lambda x: complex(x[0]),
    ):
        text = raised(errors.TracerConversionError, gradient, convert)
        assert "would lose its gradient" in text
        assert "np.sin in place of math.sin" in text
        assert "test_errors.py" in text


def test_advice_for_raw_writes():
    def scalar_slot(x):
        out = np.zeros(3)
        out[0] = x[0]
        return out.sum()

    def row(x):
        out = np.zeros((2, 3))
        out[1] = x
        return out.sum()

    def out_argument(x):
        out = np.zeros(3)
        np.sin(x, out=out)
        return out.sum()

    for write in (scalar_slot, row, out_argument):
        text = raised(errors.TracerConversionError, gradient, write)
        assert "fgrad.numpy" in text
        assert "test_errors.py" in text


def test_shape_mismatch_names_shapes_and_line():
    text = raised(errors.ShapeError, gradient, lambda x: np.sum(x + np.ones(4)))
    assert "(3,)" in text and "(4,)" in text
    assert "test_errors.py" in text and "np.ones(4)" in text
    text = raised(errors.ShapeError, gradient, lambda x: np.sum(x @ np.ones((4, 4))))
    assert "(3,)" in text and "(4, 4)" in text
    text = raised(errors.ShapeError, gradient, lambda x: np.sum(x.reshape(2, 2)))
    assert "(3,)" in text and "(2, 2)" in text

    def write(x):
        y = x.copy()
        y[:2] = np.ones(3)
        return y.sum()

    text = raised(errors.ShapeError, gradient, write)
    assert "(3,)" in text and "(2,)" in text


def test_non_scalar_results():
    assert "fgrad.jacobian" in raised(
        errors.NonScalarOutputError, gradient, lambda x: x
    )
    for result in (lambda x: (x.sum(), 1.0), lambda x: None, lambda x: {"a": x.sum()}):
        raised(errors.NonScalarOutputError, gradient, result)


def test_integer_inputs_name_the_leaf():
    text = raised(errors.IntegerInputError, gradient, np.sum, np.arange(3))
    assert "int64" in text and "1.0 in place of 1" in text
    f = fgrad.grad(lambda p: p["a"]["b"] * 2.0)
    text = raised(errors.IntegerInputError, f, {"a": {"b": 3}})
    assert "['a']['b']" in text
    raised(errors.IntegerInputError, gradient, lambda x: x, True)


def test_unsupported_function_names_near_ones():
    text = raised(errors.UnsupportedFunctionError, gradient, np.sort_complex)
    assert "numpy.sort_complex" in text and "stop_gradient" in text
    text = raised(
        errors.UnsupportedFunctionError, gradient, lambda x: np.histogram2d(x, x)
    )
    assert "histogram2d" in text and "near:" in text


def test_leaked_tracer_raises_wherever_it_is_used():
    kept = []
    fgrad.grad(lambda x: (kept.append(x), np.sum(x))[1])(np.ones(3))
    (leaked,) = kept
    uses = (
        lambda t: t + 1,
        lambda t: np.sin(t),
        lambda t: t[0],
        lambda t: np.sum(t),
        lambda t: t.reshape(3, 1),
        lambda t: fgrad.grad(lambda x: np.sum(x * t))(np.ones(3)),
    )
    for use in uses:
        assert "has_aux=True" in raised(errors.LeakedTracerError, use, leaked)


def test_mutated_large_constant():
    buffer = np.zeros(100_000)

    def refill(x):
        total = np.sum(x * buffer)
        buffer[:] = 1.0
        return total

    text = raised(errors.MutatedConstantError, fgrad.grad(refill), 2.0)
    assert "(100000,)" in text and "copy()" in text


def test_small_buffers_may_be_refilled():
    buffer = np.zeros(3)

    def f(x):
        total = 0.0
        for power in range(3):
            buffer[:] = np.arange(3.0) ** power
            total = total + np.dot(buffer, x)
        return total

    expected = sum(np.arange(3.0) ** power for power in range(3))
    assert np.array_equal(fgrad.grad(f)(np.ones(3)), expected)


def test_abstract_branch():
    text = raised(
        errors.ConcretizationError,
        fgrad.make_program(lambda x: x if x > 0 else -x),
        fgrad.Aval((), "float64"),
    )
    assert "np.where" in text


def test_argnums_and_structures():
    assert "argnums=2" in raised(TypeError, fgrad.grad(np.sum, argnums=2), np.ones(3))
    assert "argnames='b'" in raised(
        TypeError, fgrad.grad(lambda a: a, argnames="b"), 1.0
    )
    _, pullback = fgrad.vjp(lambda x: {"y": x * 2}, np.ones(2))
    raised(errors.TreeError, pullback, np.ones(2))
    assert "(3,)" in raised(errors.TreeError, pullback, {"y": np.ones(3)})
    raised(errors.TreeError, fgrad.jvp, np.sin, (1.0,), (1.0, 2.0))
    raised(errors.TreeError, fgrad.jvp, np.sin, (1.0,), (1.0j,))
    raised(TypeError, fgrad.grad(lambda x: x, has_aux=True), 1.0)


def test_inner_value_written_into_outer_array():
    def outer(x):
        y = x.copy()

        def inner(z):
            y[0] = z
            return z * z

        return fgrad.grad(inner)(1.0) + y.sum()

    raised(errors.ShapeError, fgrad.grad(outer), np.ones(3))
