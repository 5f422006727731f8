"""``np.fft`` on traced arrays: NumPy's values, derivatives in both modes, jax's."""

from typing import Any

import numpy as np
import pytest

import fgrad
import fgrad.numpy as fnp
from fgrad.testing import check_grads

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(3, 4, 5))
COMPLEX = REAL + 1j * RNG.normal(size=(3, 4, 5))
NORMS = [None, "backward", "ortho", "forward"]
ONE = ["fft", "ifft", "irfft", "hfft"]  # of complex numbers
FROM_REAL = ["rfft", "ihfft"]
SEVERAL = ["fft2", "ifft2", "irfft2", "fftn", "ifftn", "irfftn"]
SEVERAL_FROM_REAL = ["rfft2", "rfftn"]


def same(f: Any, *args: Any) -> None:
    """Traced, and compiled, as without."""
    expected = f(*args)
    jitted = fgrad.jit(f)
    for found in (fgrad.make_program(f)(*args)(*args)[0], jitted(*args), jitted(*args)):
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [None, 1, 3, 4, 7])
@pytest.mark.parametrize("name", [*ONE, *FROM_REAL])
def test_values(name: str, n: int | None, norm: Any) -> None:
    function = getattr(np.fft, name)
    inputs = [REAL, REAL.astype("float32"), np.arange(6).reshape(2, 3)]
    if name in ONE:
        inputs += [COMPLEX, COMPLEX.astype("complex64")]
    for x in inputs:
        for axis in (0, -1):
            same(lambda x, axis=axis: function(x, n, axis, norm), x)


@pytest.mark.parametrize("name", [*SEVERAL, *SEVERAL_FROM_REAL])
def test_values_over_several_axes(name: str) -> None:
    function = getattr(np.fft, name)
    x = COMPLEX if name in SEVERAL else REAL
    same(function, x)
    same(lambda x: function(x, axes=(0, 2), norm="ortho"), x)
    same(lambda x: function(x, (2, 6), (1, 0)), x)
    same(lambda x: function(x, (-1, 3), axes=(1, 2)), x)


@pytest.mark.parametrize("axes", [None, 1, (0, 2)])
@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
def test_shifts(name: str, axes: Any) -> None:
    function = getattr(np.fft, name)
    same(lambda x: function(x, axes), REAL)
    check_grads(lambda x: np.sum(function(x, axes) ** 2 * REAL), (REAL,))


def number(y: Any) -> Any:
    """A number that depends on both parts of all elements."""
    weights = np.cos(np.arange(y.size)).reshape(y.shape)
    return np.sum(np.real(y) * weights + np.imag(y) ** 2 * weights[::-1])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [None, 2, 5, 8])
@pytest.mark.parametrize("name", [*ONE, *FROM_REAL])
def test_derivatives(name: str, n: int | None, norm: Any) -> None:
    function = getattr(np.fft, name)
    f = lambda x: number(function(x, n, 1, norm))
    check_grads(f, (REAL,), order=2)
    if name in ONE:
        check_grads(f, (COMPLEX,), order=2)


@pytest.mark.parametrize("name", [*SEVERAL, *SEVERAL_FROM_REAL])
def test_derivatives_over_several_axes(name: str) -> None:
    function = getattr(np.fft, name)
    x = COMPLEX if name in SEVERAL else REAL
    check_grads(lambda x: number(function(x)), (x,), order=2)
    check_grads(lambda x: number(function(x, (3, 6), (1, 2), "ortho")), (x,), order=2)


@pytest.mark.parametrize("name", [*ONE, *FROM_REAL, *SEVERAL, *SEVERAL_FROM_REAL])
def test_against_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    x = REAL if "r" in name[0] or name == "ihfft" else COMPLEX

    def loss(np: Any) -> Any:
        def f(x: Any) -> Any:
            y = getattr(np.fft, name)(x)
            return np.sum(np.real(y) ** 3) + np.sum(np.imag(y) * np.real(y))

        return f

    with jax.enable_x64(True):
        expected = jax.grad(loss(jax.numpy))(x)
    found = fgrad.grad(loss(np))(x)
    np.testing.assert_allclose(found, expected, 1e-9, 1e-9)
    on_xla = fgrad.jit(fgrad.grad(loss(np)), backend="jax")(x)
    np.testing.assert_allclose(on_xla, expected, 1e-9, 1e-9)


@pytest.mark.parametrize("name", ["fft", "rfft", "rfftn", "irfft", "fftshift"])
def test_batches(name: str) -> None:
    function = getattr(np.fft, name)
    found = fgrad.vmap(fgrad.grad(lambda x: number(function(x))))(REAL)
    expected = [fgrad.grad(lambda x: number(function(x)))(x) for x in REAL]
    np.testing.assert_allclose(found, np.stack(expected), 1e-12, 1e-12)


def test_front_door_and_out() -> None:
    def f(x: Any) -> Any:
        out = fnp.zeros(4, complex)
        np.fft.fft(x, out=out)
        return np.sum(np.abs(out) ** 2) + np.real(fnp.fft.fft([x[0], x[1]])[0])

    x = REAL[0, 0, :4]
    expected = 8 * x + np.array([1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(fgrad.grad(f)(x), expected, 1e-12)
    np.testing.assert_array_equal(fnp.fft.fftfreq(3), np.fft.fftfreq(3))


def test_errors() -> None:
    grad = lambda f: fgrad.jvp(f, (REAL,), (REAL,))
    with pytest.raises(ValueError, match="Invalid number of FFT data points"):
        grad(lambda x: np.fft.fft(x, 0))
    with pytest.raises(ValueError, match="Invalid norm value"):
        grad(lambda x: np.fft.rfft(x, norm="orthogonal"))
    with pytest.raises(ValueError, match="different lengths"):
        grad(lambda x: np.fft.fftn(x, (2, 2), (0,)))
    with pytest.raises(TypeError, match="real numbers"):
        fgrad.jvp(np.fft.rfft, (COMPLEX,), (COMPLEX,))
    with pytest.raises(IndexError):  # as NumPy's own
        grad(lambda x: np.fft.fft(x, axis=3))
    with pytest.raises(np.exceptions.AxisError):
        grad(lambda x: np.fft.fft(x, 4, axis=3))
