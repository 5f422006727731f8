"""Programs as texts: a change that lengthens one is seen.

``pytest tests/test_golden.py --regenerate`` writes the texts anew.
"""

from pathlib import Path

import numpy as np
import pytest

import fgrad

GOLDEN = Path(__file__).parent / "golden"
X = np.linspace(0.1, 1.0, 4)
ROWS = np.linspace(-1.0, 1.0, 12).reshape(3, 4)


def compare(name, text, regenerate):
    path = GOLDEN / f"{name}.txt"
    if regenerate:
        path.write_text(text + "\n")
    assert path.exists(), f"no {path}; run pytest with --regenerate"
    assert text + "\n" == path.read_text(), "run with --regenerate if this is better"


# --- programs


def sample(x):
    return np.sum(np.sin(x[1:]) * x[:-1]) / 2


def matrix(w, x):
    return np.tanh(w @ x)


def running(x):
    def step(total, x):
        total = total * np.cos(x) + x
        return total, total * 2

    return fgrad.scan(step, 0.0, x)[1]


def cond_in_scan(x):
    def step(total, x):
        total = fgrad.cond(total > 1.0, lambda t: t - 1.0, lambda t: t + x, total)
        return total, total

    return fgrad.scan(step, 0.0, x)[1]


def newton(a):
    step = lambda x: 0.5 * (x + a / x)
    return fgrad.while_loop(lambda x: abs(x * x - a) > 1e-12, step, a)


def layers(x):
    layer = fgrad.checkpoint(lambda x: np.tanh(x * x[0]) + x)
    return np.sum(layer(layer(x)))


def written(x):
    def step(i, x):
        x[i] = np.sin(x[i]) * 2
        return x

    return fgrad.fori_loop(0, 4, step, x)


def hvp(x, v):
    return fgrad.jvp(fgrad.grad(sample), (x,), (v,))[1]


PROGRAMS = {
    "function": (sample, X),
    "grad": (fgrad.grad(sample), X),
    "vmap": (fgrad.vmap(sample), ROWS),
    "vmap_of_matrix": (fgrad.vmap(matrix, (None, 0)), np.ones((2, 4)), ROWS),
    "vmap_of_grad": (fgrad.vmap(fgrad.grad(sample)), ROWS),
    "grad_of_vmap": (fgrad.grad(lambda x: np.sum(fgrad.vmap(sample)(x) ** 2)), ROWS),
    "jvp": (lambda x, t: fgrad.jvp(sample, (x,), (t,)), X, X),
    "hessian_vector_product": (hvp, X, X),
    "scan": (running, X),
    "scan_grad": (fgrad.grad(lambda x: np.sum(running(x))), X),
    "cond_in_scan": (cond_in_scan, X),
    "cond_in_scan_grad": (fgrad.grad(lambda x: np.sum(cond_in_scan(x))), X),
    "while_loop": (newton, fgrad.Aval((), "float64")),
    "while_loop_grad": (fgrad.grad(newton), 2.0),
    "checkpoint": (layers, X),
    "checkpoint_grad": (fgrad.grad(layers), X),
    "fori_loop": (written, X),
    "fori_loop_grad": (fgrad.grad(lambda x: np.sum(written(x))), X),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name, regenerate):
    f, *args = PROGRAMS[name]
    program = fgrad.check(fgrad.make_program(f)(*args))
    assert fgrad.parse(str(program)) == program
    compare(name, str(program), regenerate)


# --- lengths of gradients


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def mlp(params):
    h = ROWS
    for w, b in params:
        h = np.tanh(h @ w + b)
    return np.mean((h - 0.5) ** 2)


def logistic(w):
    z = ROWS @ w
    return np.mean(np.log1p(np.exp(-z * np.array([1.0, -1.0, 1.0]))))


def rnn(params):
    w, u, b = params
    h = np.zeros(2)
    for x in ROWS:
        h = np.tanh(w @ h + u @ x + b)
    return np.sum(h**2)


def normal_cdf(x):
    return 0.5 * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x**3)))


def black_scholes(params):
    spot, strike, rate, vol, time = params
    d1 = (np.log(spot / strike) + (rate + vol**2 / 2) * time) / (vol * np.sqrt(time))
    d2 = d1 - vol * np.sqrt(time)
    return spot * normal_cdf(d1) - strike * np.exp(-rate * time) * normal_cdf(d2)


def logsumexp(x):
    top = np.max(x)
    return top + np.log(np.sum(np.exp(x - top)))


def cross_entropy(w):
    z = ROWS @ w
    z = z - np.max(z, axis=1, keepdims=True)
    logp = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(logp[np.arange(3), np.array([0, 1, 0])])


def mixture(params):
    logits, means, scales = params
    z = (X[:, None] - means) / np.exp(scales)
    parts = -0.5 * z**2 - scales + logits - np.log(np.sum(np.exp(logits)))
    top = np.max(parts, axis=1, keepdims=True)
    return -np.sum(top[:, 0] + np.log(np.sum(np.exp(parts - top), axis=1)))


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return np.sum((e / np.sum(e, axis=-1, keepdims=True)) ** 2)


def attention(params):
    q, k, v = params
    scores = q @ k.T / np.sqrt(4.0)
    e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return np.sum((e / np.sum(e, axis=-1, keepdims=True)) @ v)


def layer_norm(x):
    mean, std = np.mean(x, axis=-1, keepdims=True), np.std(x, axis=-1, keepdims=True)
    return np.sum(np.tanh((x - mean) / (std + 1e-5)))


def quadratic(x):
    return 0.5 * x @ (np.eye(4) * 2 + 1) @ x - np.sum(x)


def elastic(w):
    residual = ROWS @ w - 1.0
    return residual @ residual / 6 + 0.1 * np.sum(np.abs(w)) + 0.2 * np.sum(w**2)


def polynomial(c):
    total = 0.0
    for k in range(4):
        total = total + c[k] * X**k
    return np.mean((total - np.sin(X)) ** 2)


def distances(x):
    d = np.sum((x[:, None] - x[None, :]) ** 2, axis=-1)
    return np.sum(np.exp(-d))


def selected(x):
    return np.sum(np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0))


GRADIENTS = {
    "rosenbrock": (rosenbrock, X),
    "tanh MLP": (mlp, [(np.ones((4, 5)), np.ones(5)), (np.ones((5, 1)), np.ones(1))]),
    "logistic regression": (logistic, X),
    "RNN of 3 steps": (rnn, (np.ones((2, 2)), np.ones((2, 4)), np.ones(2))),
    "Black-Scholes": (black_scholes, (100.0, 95.0, 0.05, 0.2, 0.75)),
    "logsumexp": (logsumexp, X),
    "softmax": (softmax, ROWS),
    "softmax cross entropy": (cross_entropy, np.ones((4, 2))),
    "Gaussian mixture": (mixture, (np.zeros(2), np.arange(2.0), np.zeros(2))),
    "attention": (attention, (ROWS, ROWS, ROWS)),
    "layer norm": (layer_norm, ROWS),
    "quadratic": (quadratic, X),
    "elastic net": (elastic, X),
    "polynomial": (polynomial, X),
    "pairwise distances": (distances, ROWS),
    "masked log": (selected, ROWS),
}


def gradient_program(name):
    f, argument = GRADIENTS[name]
    return fgrad.check(fgrad.make_program(fgrad.grad(f))(argument))


def test_lengths_of_gradients(regenerate):
    """Equations of the function, and of its gradient with it."""
    rows = [f"{'':24}function  gradient"]
    for name, (f, argument) in GRADIENTS.items():
        plain = len(fgrad.make_program(f)(argument).eqns)
        rows.append(f"{name:24}{plain:8}{len(gradient_program(name).eqns):10}")
    compare("lengths", "\n".join(rows), regenerate)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_programs_give_the_gradient(name):
    f, argument = GRADIENTS[name]
    leaves = fgrad.tree.flatten(argument)[0]
    found = gradient_program(name)(*map(np.asarray, leaves))
    expected = fgrad.tree.flatten(fgrad.grad(f)(argument))[0]
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)
