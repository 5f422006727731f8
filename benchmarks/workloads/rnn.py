"""A recurrent network unrolled in Python: 50 steps, hidden 64, batch 16."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Array, Loss, Rng, Tree, Workload

HIDDEN, BATCH, FEATURES = 64, 16, 32


def make(rng: Rng, size: int) -> Arguments:
    parameters = {
        "wx": rng.standard_normal((FEATURES, HIDDEN)) / FEATURES**0.5,
        "wh": rng.standard_normal((HIDDEN, HIDDEN)) / HIDDEN**0.5,
        "b": np.zeros(HIDDEN),
        "out": rng.standard_normal((HIDDEN, 1)) / HIDDEN**0.5,
    }
    xs = rng.standard_normal((size, BATCH, FEATURES))
    start = np.zeros((BATCH, HIDDEN))
    return parameters, xs, rng.standard_normal((BATCH, 1)), start


def build(np: Any) -> Loss:
    def loss(p: Any, xs: Any, y: Any, h: Any) -> Any:
        for step in range(xs.shape[0]):
            h = np.tanh(xs[step] @ p["wx"] + h @ p["wh"] + p["b"])
        return np.mean((h @ p["out"] - y) ** 2)

    return loss


def hand(p: Tree, xs: Array, y: Array, h: Array) -> tuple[Any, Tree]:
    """Weight gradients of all steps in one product each."""
    steps = len(xs)
    inputs = xs @ p["wx"] + p["b"]
    hs = np.empty((steps + 1, *h.shape))
    hs[0] = h
    for step in range(steps):
        np.tanh(inputs[step] + hs[step] @ p["wh"], out=hs[step + 1])
    miss = hs[-1] @ p["out"] - y
    d_miss = 2.0 * miss / miss.size
    d_h = d_miss @ p["out"].T
    d_z = np.empty_like(inputs)
    slopes = 1.0 - hs[1:] * hs[1:]
    for step in reversed(range(steps)):
        np.multiply(d_h, slopes[step], out=d_z[step])
        d_h = d_z[step] @ p["wh"].T
    flat = d_z.reshape(-1, HIDDEN)
    return np.mean(miss**2), {
        "wx": xs.reshape(-1, FEATURES).T @ flat,
        "wh": hs[:-1].reshape(-1, HIDDEN).T @ flat,
        "b": flat.sum(axis=0),
        "out": hs[-1].T @ d_miss,
    }


def hand_out(p: Tree, xs: Array, y: Array, h: Array) -> Callable[..., tuple[Any, Tree]]:
    steps = len(xs)
    hs = np.empty((steps + 1, *h.shape))
    inputs, d_z, slopes = np.empty((3, steps, *h.shape))
    d_h = np.empty_like(h)
    gradient = {name: np.empty_like(leaf) for name, leaf in p.items()}
    flat, flat_hs = d_z.reshape(-1, HIDDEN), hs[:-1].reshape(-1, HIDDEN)

    def function(p: Tree, xs: Array, y: Array, h: Array) -> tuple[Any, Tree]:
        wh, wh_transposed = p["wh"], p["wh"].T
        flat_xs = xs.reshape(-1, FEATURES)
        np.matmul(flat_xs, p["wx"], out=inputs.reshape(-1, HIDDEN))
        np.add(inputs, p["b"], out=inputs)
        hs[0] = h
        for last, z, new in zip(hs[:-1], inputs, hs[1:], strict=True):
            np.matmul(last, wh, out=new)
            np.add(new, z, out=new)
            np.tanh(new, out=new)
        np.multiply(hs[1:], hs[1:], out=slopes)
        np.subtract(1.0, slopes, out=slopes)
        miss = hs[-1] @ p["out"] - y
        d_miss = miss * (2.0 / miss.size)
        np.matmul(d_miss, p["out"].T, out=d_h)
        for slope, d in zip(slopes[::-1], d_z[::-1], strict=True):
            np.multiply(d_h, slope, out=d)
            np.matmul(d, wh_transposed, out=d_h)
        np.matmul(flat_xs.T, flat, out=gradient["wx"])
        np.matmul(flat_hs.T, flat, out=gradient["wh"])
        flat.sum(axis=0, out=gradient["b"])
        np.matmul(hs[-1].T, d_miss, out=gradient["out"])
        return np.vdot(miss, miss) / miss.size, gradient

    return function


WORKLOADS = [
    Workload(
        name="rnn",
        description="tanh RNN, 50 unrolled steps, hidden 64, batch 16",
        make=make,
        build=build,
        size=50,
        small=3,
        hand=hand,
        hand_out=hand_out,
        torch=build,
        bar=1.1,
    )
]
