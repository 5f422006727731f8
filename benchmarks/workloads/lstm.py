"""An LSTM unrolled in Python: 50 steps, hidden 64, batch 16."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Array, Loss, Rng, Tree, Workload

HIDDEN, BATCH, FEATURES = 64, 16, 32


def make(rng: Rng, size: int) -> Arguments:
    parameters = {
        "wx": rng.standard_normal((FEATURES, 4 * HIDDEN)) / FEATURES**0.5,
        "wh": rng.standard_normal((HIDDEN, 4 * HIDDEN)) / HIDDEN**0.5,
        "b": np.zeros(4 * HIDDEN),
        "out": rng.standard_normal((HIDDEN, 1)) / HIDDEN**0.5,
    }
    xs = rng.standard_normal((size, BATCH, FEATURES))
    start = np.zeros((BATCH, HIDDEN))
    return parameters, xs, rng.standard_normal((BATCH, 1)), start


def build(np: Any) -> Loss:
    def sigmoid(x: Any) -> Any:
        return 1.0 / (1.0 + np.exp(-x))

    def loss(p: Any, xs: Any, y: Any, start: Any) -> Any:
        h = c = start
        for step in range(xs.shape[0]):
            z = xs[step] @ p["wx"] + h @ p["wh"] + p["b"]
            i = sigmoid(z[:, :HIDDEN])
            f = sigmoid(z[:, HIDDEN : 2 * HIDDEN])
            o = sigmoid(z[:, 2 * HIDDEN : 3 * HIDDEN])
            c = f * c + i * np.tanh(z[:, 3 * HIDDEN :])
            h = o * np.tanh(c)
        return np.mean((h @ p["out"] - y) ** 2)

    return loss


def hand(p: Tree, xs: Array, y: Array, start: Array) -> tuple[Any, Tree]:
    """Gates as one block; weight gradients of all steps in one product each."""
    steps = len(xs)
    inputs = xs @ p["wx"] + p["b"]
    gates = np.empty((steps, BATCH, 4, HIDDEN))
    cs, hs = np.empty((2, steps + 1, *start.shape))
    cs[0] = hs[0] = start
    tanh_c = np.empty((steps, *start.shape))
    for t in range(steps):
        z = (inputs[t] + hs[t] @ p["wh"]).reshape(BATCH, 4, HIDDEN)
        gates[t, :, :3] = 1.0 / (1.0 + np.exp(-z[:, :3]))
        gates[t, :, 3] = np.tanh(z[:, 3])
        i, f, o, g = gates[t].swapaxes(0, 1)
        cs[t + 1] = f * cs[t] + i * g
        np.tanh(cs[t + 1], out=tanh_c[t])
        np.multiply(o, tanh_c[t], out=hs[t + 1])
    miss = hs[-1] @ p["out"] - y
    d_miss = 2.0 * miss / miss.size
    d_h, d_c = d_miss @ p["out"].T, np.zeros_like(start)
    slopes = gates * (1.0 - gates)
    slopes[:, :, 3] = 1.0 - gates[:, :, 3] ** 2
    c_slopes = 1.0 - tanh_c * tanh_c
    d_z = np.empty_like(gates)
    for t in reversed(range(steps)):
        i, f, o, g = gates[t].swapaxes(0, 1)
        d_c = d_c + d_h * o * c_slopes[t]
        np.multiply(d_c, g, out=d_z[t, :, 0])
        np.multiply(d_c, cs[t], out=d_z[t, :, 1])
        np.multiply(d_h, tanh_c[t], out=d_z[t, :, 2])
        np.multiply(d_c, i, out=d_z[t, :, 3])
        d_z[t] *= slopes[t]
        d_h = d_z[t].reshape(BATCH, -1) @ p["wh"].T
        d_c = d_c * f
    flat = d_z.reshape(-1, 4 * HIDDEN)
    return np.mean(miss**2), {
        "wx": xs.reshape(-1, FEATURES).T @ flat,
        "wh": hs[:-1].reshape(-1, HIDDEN).T @ flat,
        "b": flat.sum(axis=0),
        "out": hs[-1].T @ d_miss,
    }


def hand_out(
    p: Tree, xs: Array, y: Array, start: Array
) -> Callable[..., tuple[Any, Tree]]:
    steps = len(xs)
    gates, slopes, d_z = np.empty((3, steps, BATCH, 4, HIDDEN))
    inputs, z = np.empty((steps, BATCH, 4 * HIDDEN)), np.empty((BATCH, 4 * HIDDEN))
    cs, hs = np.empty((2, steps + 1, *start.shape))
    tanh_c, c_slopes = np.empty((2, steps, *start.shape))
    d_h, d_c, work = np.empty((3, *start.shape))
    gradient = {name: np.empty_like(leaf) for name, leaf in p.items()}
    by_gate = z.reshape(BATCH, 4, HIDDEN)
    flat, flat_hs = d_z.reshape(-1, 4 * HIDDEN), hs[:-1].reshape(-1, HIDDEN)
    split = [tuple(gates[t].swapaxes(0, 1)) for t in range(steps)]
    d_split = [tuple(d_z[t].swapaxes(0, 1)) for t in range(steps)]

    def forward(p: Tree) -> None:
        for t, (i, f, o, g) in enumerate(split):
            np.matmul(hs[t], p["wh"], out=z)
            np.add(z, inputs[t], out=z)
            sigmoids = gates[t, :, :3]
            np.negative(by_gate[:, :3], out=sigmoids)
            np.exp(sigmoids, out=sigmoids)
            np.add(sigmoids, 1.0, out=sigmoids)
            np.reciprocal(sigmoids, out=sigmoids)
            np.tanh(by_gate[:, 3], out=g)
            np.multiply(f, cs[t], out=cs[t + 1])
            np.multiply(i, g, out=work)
            np.add(cs[t + 1], work, out=cs[t + 1])
            np.tanh(cs[t + 1], out=tanh_c[t])
            np.multiply(o, tanh_c[t], out=hs[t + 1])

    def backward(wh_transposed: Array) -> None:
        np.subtract(1.0, gates, out=slopes)
        np.multiply(slopes, gates, out=slopes)
        np.multiply(gates[:, :, 3], gates[:, :, 3], out=slopes[:, :, 3])
        np.subtract(1.0, slopes[:, :, 3], out=slopes[:, :, 3])
        np.multiply(tanh_c, tanh_c, out=c_slopes)
        np.subtract(1.0, c_slopes, out=c_slopes)
        d_c[:] = 0.0
        for t in reversed(range(steps)):
            (i, f, o, g), (d_i, d_f, d_o, d_g) = split[t], d_split[t]
            np.multiply(d_h, o, out=work)
            np.multiply(work, c_slopes[t], out=work)
            np.add(d_c, work, out=d_c)
            np.multiply(d_c, g, out=d_i)
            np.multiply(d_c, cs[t], out=d_f)
            np.multiply(d_h, tanh_c[t], out=d_o)
            np.multiply(d_c, i, out=d_g)
            np.multiply(d_z[t], slopes[t], out=d_z[t])
            np.matmul(d_z[t].reshape(BATCH, -1), wh_transposed, out=d_h)
            np.multiply(d_c, f, out=d_c)

    def function(p: Tree, xs: Array, y: Array, start: Array) -> tuple[Any, Tree]:
        flat_xs = xs.reshape(-1, FEATURES)
        np.matmul(flat_xs, p["wx"], out=inputs.reshape(-1, 4 * HIDDEN))
        np.add(inputs, p["b"], out=inputs)
        cs[0] = hs[0] = start
        forward(p)
        miss = hs[-1] @ p["out"] - y
        d_miss = miss * (2.0 / miss.size)
        np.matmul(d_miss, p["out"].T, out=d_h)
        backward(p["wh"].T)
        np.matmul(flat_xs.T, flat, out=gradient["wx"])
        np.matmul(flat_hs.T, flat, out=gradient["wh"])
        flat.sum(axis=0, out=gradient["b"])
        np.matmul(hs[-1].T, d_miss, out=gradient["out"])
        return np.vdot(miss, miss) / miss.size, gradient

    return function


WORKLOADS = [
    Workload(
        name="lstm",
        description="LSTM, 50 unrolled steps, hidden 64, batch 16",
        make=make,
        build=build,
        size=50,
        small=3,
        hand=hand,
        hand_out=hand_out,
        torch=build,
        bar=0.9,
        slow=frozenset({"fgrad.jit(jax)", "jax.jit", "torch.compile"}),
    )
]
