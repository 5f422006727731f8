"""Gradients and Hessian-vector products of realistic functions against JAX.

Each function takes the array module first, so that the same body runs with NumPy's
names under fgrad and with jax.numpy under JAX, both in double precision.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fgrad

TOLERANCE = 1e-10
Case = tuple[Callable[..., Any], tuple[Any, ...]]
CASES: dict[str, Case] = {}


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed + 17 * sum(shape)).standard_normal(shape)


def uniform(*shape: int, low: float = 0.2, high: float = 1.5, seed: int = 0) -> Any:
    return np.random.default_rng(seed + 31 * sum(shape)).uniform(low, high, shape)


def phasors(*shape: int, seed: int = 0) -> Any:
    return normal(*shape, seed=seed) + 1j * normal(*shape, seed=seed + 1)


def case(*args: Any) -> Callable[[Any], Any]:
    """Register a function with the arguments that it is differentiated at."""

    def register(f: Any) -> Any:
        CASES[f.__name__] = (f, args)
        return f

    return register


# --- statistics and machine learning

SIGNS = np.sign(normal(8, seed=5))
LABELS = np.array([0, 2, 1, 2, 0])


@case(normal(3), normal(8, 3))
def logistic_loss(np: Any, w: Any, X: Any) -> Any:
    return np.mean(np.logaddexp(0.0, -SIGNS * (X @ w))) + 0.1 * np.sum(w**2)


@case(normal(4, 3), normal(5, 4))
def softmax_cross_entropy(np: Any, W: Any, X: Any) -> Any:
    logits = X @ W
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    norm = np.log(np.sum(np.exp(shifted), axis=1))
    return np.mean(norm - shifted[np.arange(5), LABELS])


@case({"w": [normal(3, 6), normal(6, 2)], "b": [normal(6), normal(2)]}, normal(7, 3))
def mlp(np: Any, params: Any, x: Any) -> Any:
    for w, b in zip(params["w"], params["b"], strict=True):
        x = np.tanh(x @ w + b)
    return np.mean(np.sum(x**2, axis=-1))


@case(normal(3), normal(3, 2), normal(3, 2, seed=9), normal(10, 2))
def gmm_log_likelihood(np: Any, weights: Any, means: Any, scales: Any, x: Any) -> Any:
    log_weights = weights - np.log(np.sum(np.exp(weights)))
    z = (x[:, None, :] - means) * np.exp(-scales)
    terms = log_weights - np.sum(0.5 * z**2 + scales, axis=-1)
    top = np.max(terms, axis=1, keepdims=True)
    return np.sum(top[:, 0] + np.log(np.sum(np.exp(terms - top), axis=1)))


@case(normal(5, 4), normal(4, 4), normal(4, 4, seed=3), normal(4, 4, seed=4))
def attention(np: Any, x: Any, wq: Any, wk: Any, wv: Any) -> Any:
    scores = (x @ wq) @ np.swapaxes(x @ wk, -1, -2) / np.sqrt(4.0)
    scores = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    weights = scores / np.sum(scores, axis=-1, keepdims=True)
    return np.sum(np.sin(weights @ (x @ wv)))


@case(normal(2, 5, 3), normal(3, 4), normal(4, 4))
def rnn(np: Any, x: Any, w_in: Any, w_state: Any) -> Any:
    state = np.zeros((2, 4))
    for t in range(5):
        state = np.tanh(x[:, t] @ w_in + state @ w_state)
    return np.sum(state**2)


@case(normal(4, 6), normal(6), normal(6, seed=1))
def layer_norm(np: Any, x: Any, gain: Any, bias: Any) -> Any:
    mean = np.mean(x, axis=-1, keepdims=True)
    std = np.sqrt(np.var(x, axis=-1, keepdims=True) + 1e-5)
    return np.sum(np.cos((x - mean) / std * gain + bias))


@case(normal(6, 3))
def batch_norm(np: Any, x: Any) -> Any:
    return np.sum(np.sin((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-3)))


@case(normal(3, 7), normal(7, 2))
def relu_network(np: Any, x: Any, w: Any) -> Any:
    return np.sum(np.maximum(np.maximum(x, 0.0) @ w, 0.1 * (x @ w)) ** 2)


@case(normal(9))
def gelu(np: Any, x: Any) -> Any:
    inner = np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)
    return np.sum(0.5 * x * (1.0 + np.tanh(inner)))


@case(normal(9))
def softplus(np: Any, x: Any) -> Any:
    return np.sum(np.logaddexp(x, 0.0) * np.log1p(np.exp(-np.abs(x))))


@case(normal(9), normal(9, seed=2))
def huber(np: Any, x: Any, y: Any) -> Any:
    r = np.abs(x - y)
    return np.sum(np.where(r < 1.0, 0.5 * r**2, r - 0.5))


@case(normal(9))
def pinball(np: Any, x: Any) -> Any:
    return np.mean(np.maximum(0.3 * (x - 0.1), -0.7 * (x - 0.1)) * x)


@case(normal(5), uniform(5))
def student_t(np: Any, x: Any, scale: Any) -> Any:
    return np.sum(np.log(scale) + 2.5 * np.log1p((x / scale) ** 2 / 4.0))


@case(normal(3), normal(6, 3))
def poisson_regression(np: Any, w: Any, X: Any) -> Any:
    rate = X @ w
    return np.sum(np.exp(rate) - np.arange(6.0) * rate)


@case(uniform(6))
def entropy(np: Any, x: Any) -> Any:
    p = x / np.sum(x)
    return -np.sum(p * np.log(p))


@case(normal(5), normal(5, seed=1))
def cosine_similarity(np: Any, x: Any, y: Any) -> Any:
    return np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y))


@case(normal(7, 2), uniform())
def rbf_kernel(np: Any, x: Any, scale: Any) -> Any:
    square = np.sum((x[:, None] - x[None]) ** 2, axis=-1)
    return np.sum(np.exp(-square / scale))


@case(normal(4, 3), normal(10))
def embedding(np: Any, table: Any, weights: Any) -> Any:
    words = np.array([0, 3, 3, 1, 0, 0, 2, 3, 1, 1])
    return np.sum(np.tanh(table[words]) * weights[:, None] ** 2)


@case(normal(6, 5), uniform(5))
def weighted_average(np: Any, x: Any, w: Any) -> Any:
    return np.sum(np.average(x, axis=1, weights=w) ** 3)


@case(normal(12), normal(3))
def convolution(np: Any, signal: Any, kernel: Any) -> Any:
    windows = np.stack([signal[k : k + 10] for k in range(3)], axis=-1)
    return np.sum(np.tanh(windows @ kernel))


# --- physics, finance, numerics


@case(normal(6))
def rosenbrock(np: Any, x: Any) -> Any:
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@case(uniform(4, low=80, high=120), uniform(4), uniform(4, seed=2))
def black_scholes(np: Any, price: Any, sigma: Any, years: Any) -> Any:
    def cdf(x: Any) -> Any:
        return 0.5 * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))

    root = sigma * np.sqrt(years)
    d1 = (np.log(price / 100.0) + (0.05 + sigma**2 / 2) * years) / root
    call = price * cdf(d1) - 100.0 * np.exp(-0.05 * years) * cdf(d1 - root)
    return np.sum(call)


@case(uniform(4))
def lotka_volterra(np: Any, rates: Any) -> Any:
    a, b, c, d = rates
    prey, hunters = 1.0, 0.5
    for _ in range(20):
        step = prey * (a - b * hunters), hunters * (c * prey - d)
        prey, hunters = prey + 0.05 * step[0], hunters + 0.05 * step[1]
    return prey * hunters


@case(normal(2), uniform())
def pendulum(np: Any, state: Any, length: Any) -> Any:
    def slope(s: Any) -> Any:
        return np.stack([s[1], -9.81 / length * np.sin(s[0])])

    for _ in range(5):
        k1 = slope(state)
        k2 = slope(state + 0.05 * k1)
        k3 = slope(state + 0.05 * k2)
        k4 = slope(state + 0.1 * k3)
        state = state + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return 0.5 * state[1] ** 2 - 9.81 / length * np.cos(state[0])


@case(normal(7), normal(5))
def horner(np: Any, coefficients: Any, x: Any) -> Any:
    total = 0.0 * x
    for k in range(7):
        total = total * x + coefficients[k]
    return np.sum(total)


@case(uniform(3), uniform(2))
def ising_chain(np: Any, couplings: Any, fields: Any) -> Any:
    product = np.eye(2)
    for k in range(3):
        same, other = np.exp(couplings[k]), np.exp(-couplings[k])
        rows = [np.stack([same, other]), np.stack([other, same])]
        product = product @ (np.stack(rows) * np.exp(fields))
    return np.log(np.trace(product))


@case(normal(8))
def heat_equation(np: Any, u: Any) -> Any:
    for _ in range(4):
        u = u + 0.1 * (np.roll(u, 1) - 2.0 * u + np.roll(u, -1))
    return np.sum(u**4)


@case(normal(5, 6))
def total_variation(np: Any, x: Any) -> Any:
    return np.sum(np.abs(np.diff(x, axis=0))) + np.sum(np.diff(x, axis=1) ** 2)


@case(normal(6, 3))
def lennard_jones(np: Any, x: Any) -> Any:
    i, j = np.triu_indices(6, 1)
    square = np.sum((x[i] - x[j]) ** 2, axis=-1)
    return np.sum(square**-2.0 - square**-1.0)


@case(uniform(4))
def newton_root(np: Any, a: Any) -> Any:
    x = a
    for _ in range(6):
        x = x - (x**3 - a) / (3.0 * x**2)
    return np.sum(x * a)


@case(normal(4, 4), normal(4))
def power_iteration(np: Any, a: Any, v: Any) -> Any:
    for _ in range(4):
        v = a @ v
        v = v / np.sqrt(v @ v)
    return v @ a @ v


@case(normal(5), uniform(5))
def kalman_filter(np: Any, data: Any, noise: Any) -> Any:
    mean, variance, total = 0.0, 1.0, 0.0
    for k in range(5):
        gain = variance / (variance + noise[k])
        total = total + np.log(variance + noise[k]) + gain * (data[k] - mean) ** 2
        mean, variance = mean + gain * (data[k] - mean), (1 - gain) * variance + 0.1
    return total


# --- products and linear algebra


@case(normal(3, 4), normal(4, 5), normal(3, 5))
def einsum_three(np: Any, x: Any, y: Any, z: Any) -> Any:
    return np.sum(np.sin(np.einsum("ij,jk,ik->ik", x, y, z)))


@case(normal(2, 3, 4), normal(2, 4, 5))
def einsum_batch(np: Any, x: Any, y: Any) -> Any:
    return np.einsum("bij,bjk,bik->", x, y, np.tanh(x @ y))


@case(normal(4, 4))
def einsum_diagonal(np: Any, x: Any) -> Any:
    return np.sum(np.exp(np.einsum("ii->i", x))) + np.einsum("ij,ji", x, x)


@case(normal(2, 3, 4), normal(4, 3, 2))
def tensordot(np: Any, x: Any, y: Any) -> Any:
    return np.sum(np.cos(np.tensordot(x, y, axes=([1, 2], [1, 0]))))


@case(normal(3), normal(2, 2), normal(4))
def outer_and_kron(np: Any, x: Any, y: Any, z: Any) -> Any:
    return np.sum(np.sin(np.kron(y, np.outer(x, z))))


@case(normal(2, 3), normal(3, 2), normal(3, seed=8), normal(3, seed=9))
def dot_inner_vdot(np: Any, x: Any, y: Any, u: Any, v: Any) -> Any:
    return np.vdot(u, v) * np.inner(u, v) + np.sum(np.dot(x, y) ** 3) + np.dot(u, v)


@case(normal(5, 3), normal(5, 3, seed=1))
def cross(np: Any, x: Any, y: Any) -> Any:
    return np.sum(np.cross(x, np.cross(x, y)) ** 2)


@case(normal(6, 2, 3), normal(3, 4), normal(4))
def batched_matmul(np: Any, x: Any, y: Any, z: Any) -> Any:
    return np.sum(np.tanh(x @ y @ z))


@case(normal(4, 4))
def triangles(np: Any, x: Any) -> Any:
    return np.sum(np.triu(x) @ np.tril(x, -1)) + np.sum(np.diagonal(x) ** 3)


@case(normal(4, 3))
def frobenius(np: Any, x: Any) -> Any:
    return np.sqrt(np.sum(x**2)) + np.linalg.norm(x)


@case(normal(4, 3))
def row_norms(np: Any, x: Any) -> Any:
    return np.sum(np.linalg.norm(x, axis=1) ** 3)


@case(normal(3, 3), normal(3))
def solve_and_slogdet(np: Any, a: Any, b: Any) -> Any:
    matrix = a @ a.T + np.eye(3)
    return b @ np.linalg.solve(matrix, b) + np.linalg.slogdet(matrix)[1]


@case(normal(5, 2), normal(5))
def gaussian_process(np: Any, x: Any, y: Any) -> Any:
    kernel = np.exp(-np.sum((x[:, None] - x[None]) ** 2, axis=-1)) + 0.1 * np.eye(5)
    factor = np.linalg.cholesky(kernel)
    white = np.linalg.solve(factor, y)
    return 0.5 * np.sum(white**2) + np.sum(np.log(np.diagonal(factor)))


@case(normal(3, 3))
def inverse_and_det(np: Any, a: Any) -> Any:
    matrix = a + 3.0 * np.eye(3)
    return np.sum(np.linalg.inv(matrix) ** 2) * np.linalg.det(matrix)


# --- reductions, scans, order


@case(normal(3, 4, 5))
def reductions(np: Any, x: Any) -> Any:
    kept = np.sum(x, axis=(0, 2), keepdims=True)
    return np.sum(np.mean(x * kept, axis=-1) ** 2) + np.std(x) * np.var(x, ddof=1)


@case(normal(3, 5))
def extrema(np: Any, x: Any) -> Any:
    return np.sum(np.max(x, axis=0) * np.min(x, axis=0)) + np.ptp(x) ** 2


@case(normal(4, 5))
def cumulative_sums(np: Any, x: Any) -> Any:
    return np.sum(np.sin(np.cumsum(x, axis=1)) * np.cumsum(x, axis=0)[::-1])


@case(uniform(4, 5))
def products(np: Any, x: Any) -> Any:
    return np.sum(np.prod(x, axis=0) ** 2) + np.sum(np.cumprod(x, axis=1))


@case(normal(7))
def sorting(np: Any, x: Any) -> Any:
    return np.sum(np.sort(x**2) * np.arange(7.0)) + x[np.argsort(x)][2] ** 3


@case(normal(3, 7))
def medians(np: Any, x: Any) -> Any:
    return np.sum(np.median(x, axis=1) ** 2) + np.quantile(x, 0.3)


@case(normal(4, 5))
def log_sum_exp(np: Any, x: Any) -> Any:
    top = np.max(x, axis=0)
    return np.sum((top + np.log(np.sum(np.exp(x - top), axis=0))) ** 2)


# --- shapes and selection


@case(normal(4, 3), normal(2, 3))
def joining(np: Any, x: Any, y: Any) -> Any:
    both = np.concatenate([x, y, x[:1]], axis=0)
    stacked = np.stack([both, both[::-1]], axis=1)
    return np.sum(np.sin(np.hstack([stacked[0], stacked[1]])) * stacked[2, 0, 0])


@case(normal(3, 4))
def padding_and_tiling(np: Any, x: Any) -> Any:
    wide = np.pad(x, ((1, 2), (0, 1)), mode="edge")
    return np.sum(np.tanh(np.tile(wide, (1, 2)))) + np.sum(np.repeat(x, 3, axis=1) ** 3)


@case(normal(3, 4, 2))
def transposing(np: Any, x: Any) -> Any:
    y = np.moveaxis(np.transpose(x, (2, 0, 1)), 0, -1)
    z = np.swapaxes(x, 0, 2).reshape(4, 6)
    return np.sum(y * np.flip(x, axis=0)) + np.sum(np.sin(z) @ np.cos(z.T))


@case(normal(3), normal(4))
def grids(np: Any, x: Any, y: Any) -> Any:
    a, b = np.meshgrid(x, y, indexing="ij")
    return np.sum(np.sin(a * b) + np.broadcast_to(x[:, None], (3, 4)) * b)


@case(normal(9))
def clipping(np: Any, x: Any) -> Any:
    return np.sum(np.clip(x, -0.5, 0.7) ** 2 * x)


@case(uniform(9, low=-2, high=2))
def masked_log(np: Any, x: Any) -> Any:
    positive = np.where(x > 0, x, 1.0)
    return np.sum(np.where(x > 0, np.log(positive) * x, x**2))


@case(normal(3, 5))
def gathers(np: Any, x: Any) -> Any:
    positions = np.array([[4], [0], [0]])
    picked = np.take_along_axis(x, positions, axis=1)
    return np.sum(picked**2) + np.sum(np.take(x, np.array([1, 1, 3]), axis=1) ** 3)


@case(normal(4, 5))
def slices(np: Any, x: Any) -> Any:
    return np.sum(x[1:, ::-2] ** 2 * x[0, None, 2:]) + x[-1, -1] * x[..., 0].sum()


# --- elementwise families


@case(normal(6), normal(6, seed=1))
def polar(np: Any, x: Any, y: Any) -> Any:
    return np.sum(np.arctan2(y, x) * np.hypot(x, y))


@case(uniform(6), uniform(6, seed=1))
def powers(np: Any, x: Any, y: Any) -> Any:
    return np.sum(x**y + y**-1.5 + 2.0**x + np.power(x, 3))


@case(uniform(6, low=-0.8, high=0.8))
def inverse_functions(np: Any, x: Any) -> Any:
    return np.sum(np.arcsin(x) * np.arccos(x) + np.arctan(x) * np.arctanh(x))


@case(uniform(6))
def hyperbolic(np: Any, x: Any) -> Any:
    return np.sum(np.sinh(x) / np.cosh(x) + np.arcsinh(x) * np.arccosh(x + 1.5))


@case(uniform(6))
def logarithms(np: Any, x: Any) -> Any:
    return np.sum(np.log2(x) * np.log10(x) + np.expm1(x) * np.log1p(x) + np.exp2(x))


@case(uniform(6), uniform(6, seed=1))
def roots_and_rest(np: Any, x: Any, y: Any) -> Any:
    return np.sum(np.sqrt(x) * np.cbrt(y) + np.remainder(x, y) + np.sinc(x) / y)


# --- complex numbers, real results


@case(phasors(5))
def complex_power(np: Any, z: Any) -> Any:
    return np.sum(np.abs(z) ** 2 * np.real(z**2))


@case(phasors(3), phasors(3, 3))
def quadratic_form(np: Any, z: Any, a: Any) -> Any:
    return np.real(np.conj(z) @ (a @ z)) ** 2


@case(normal(5), phasors(5))
def wave_intensity(np: Any, phases: Any, amplitudes: Any) -> Any:
    return np.abs(np.sum(amplitudes * np.exp(1j * phases))) ** 2


@case(phasors(5))
def complex_functions(np: Any, z: Any) -> Any:
    return np.sum(np.imag(np.sin(z) * np.log(z) + np.sqrt(z) / np.tanh(z)))


@case(phasors(4))
def angles(np: Any, z: Any) -> Any:
    return np.sum(np.angle(z) * np.abs(z))


@case(normal(8))
def spectrum(np: Any, x: Any) -> Any:
    waves = np.exp(-2j * np.pi / 8 * np.outer(np.arange(5.0), np.arange(8.0)))
    return np.sum(np.abs(waves @ x) ** 2 * np.arange(5.0))


# --- the tests


def random_like(leaf: Any, rng: np.random.Generator) -> Any:
    values = rng.standard_normal(np.shape(leaf))
    if np.iscomplexobj(leaf):
        values = values + 1j * rng.standard_normal(np.shape(leaf))
    return np.asarray(values)[()]


def assert_close(found: Any, expected: Any) -> None:
    one, other = fgrad.tree.flatten(found)[0], jax.tree.leaves(expected)
    assert len(one) == len(other)
    for x, y in zip(one, map(np.asarray, other), strict=True):
        assert np.shape(x) == y.shape
        assert np.result_type(x) == y.dtype
        scale = 1 + float(np.max(np.abs(y)))
        np.testing.assert_allclose(x, y, 0, TOLERANCE * scale)


# The oracle is compiled without fusion: XLA on CPU recomputes shared values of long
# scalar chains inside each fusion, which takes minutes for the recursions above.
OPTIONS = {"xla_backend_optimization_level": 0, "xla_disable_hlo_passes": "fusion"}


@pytest.mark.parametrize("name", CASES)
def test_gradient_and_hessian_product(name: str) -> None:
    function, args = CASES[name]
    wrt = tuple(range(len(args)))
    rng = np.random.default_rng(11)
    vector = fgrad.tree.map_leaves(lambda leaf: random_like(leaf, rng), args)

    def under_numpy(*xs: Any) -> Any:
        return function(np, *xs)

    def under_jax(*xs: Any) -> Any:
        return function(jnp, *xs)

    def pushed(xs: Any, t: Any) -> Any:
        return jax.jvp(jax.value_and_grad(under_jax, wrt), xs, t)

    on_jax = jax.tree.map(jnp.asarray, (args, vector))
    expected = jax.jit(pushed, compiler_options=OPTIONS)(*on_jax)
    both = fgrad.value_and_grad(under_numpy, wrt)
    for _ in range(2):  # interpreted, then compiled
        assert_close(both(*args), expected[0])
        assert_close(fgrad.jvp(both, args, vector), expected)
