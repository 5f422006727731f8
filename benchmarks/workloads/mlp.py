"""A perceptron 784-256-128-10 with softmax cross entropy; nested dicts."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Array, Loss, Rng, Tree, Workload

WIDTHS = (784, 256, 128, 10)


def make(rng: Rng, size: tuple[int, str]) -> Arguments:
    batch, dtype = size
    parameters = {
        f"layer{number}": {
            "w": (rng.standard_normal((rows, columns)) / rows**0.5).astype(dtype),
            "b": np.zeros(columns, dtype),
        }
        for number, (rows, columns) in enumerate(pairwise(WIDTHS))
    }
    x = rng.standard_normal((batch, WIDTHS[0])).astype(dtype)
    y = np.eye(WIDTHS[-1], dtype=dtype)[rng.integers(WIDTHS[-1], size=batch)]
    return parameters, x, y


def build(np: Any) -> Loss:
    def loss(parameters: Any, x: Any, y: Any) -> Any:
        first, second, third = (parameters[f"layer{number}"] for number in range(3))
        h = np.tanh(x @ first["w"] + first["b"])
        h = np.tanh(h @ second["w"] + second["b"])
        z = h @ third["w"] + third["b"]
        z = z - np.max(z, axis=1, keepdims=True)
        log_total = np.log(np.sum(np.exp(z), axis=1, keepdims=True))
        return -np.mean(np.sum(y * (z - log_total), axis=1))

    return loss


def build_torch(torch: Any) -> Loss:
    def loss(parameters: Any, x: Any, y: Any) -> Any:
        first, second, third = (parameters[f"layer{number}"] for number in range(3))
        h = torch.tanh(torch.addmm(first["b"], x, first["w"]))
        h = torch.tanh(torch.addmm(second["b"], h, second["w"]))
        z = torch.addmm(third["b"], h, third["w"])
        return torch.nn.functional.cross_entropy(z, y)

    return loss


def hand(parameters: Tree, x: Array, y: Array) -> tuple[Any, Tree]:
    first, second, third = (parameters[f"layer{number}"] for number in range(3))
    h1 = np.tanh(x @ first["w"] + first["b"])
    h2 = np.tanh(h1 @ second["w"] + second["b"])
    z = h2 @ third["w"] + third["b"]
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    value = -np.vdot(y, z - np.log(total)) / len(y)
    d3 = (e / total - y) / len(y)
    d2 = (d3 @ third["w"].T) * (1 - h2 * h2)
    d1 = (d2 @ second["w"].T) * (1 - h1 * h1)
    cases = zip((x, h1, h2), (d1, d2, d3), strict=True)
    return value, {
        f"layer{number}": {"w": h.T @ d, "b": d.sum(axis=0)}
        for number, (h, d) in enumerate(cases)
    }


def hand_out(parameters: Tree, x: Array, y: Array) -> Callable[..., tuple[Any, Tree]]:
    layers = [f"layer{number}" for number in range(3)]
    gradient = {
        name: {key: np.empty_like(leaf) for key, leaf in parameters[name].items()}
        for name in layers
    }
    biases = [parameters[name]["b"] for name in layers]
    hs = [np.empty((len(x), len(bias)), x.dtype) for bias in biases]
    ds, slopes = [[np.empty_like(h) for h in hs] for _ in range(2)]

    def function(parameters: Tree, x: Array, y: Array) -> tuple[Any, Tree]:
        inputs = [x, *hs[:2]]
        for name, h, z in zip(layers, inputs, hs, strict=True):
            np.matmul(h, parameters[name]["w"], out=z)
            np.add(z, parameters[name]["b"], out=z)
            if z is not hs[-1]:
                np.tanh(z, out=z)
        z, d = hs[-1], ds[-1]
        np.subtract(z, z.max(axis=1, keepdims=True), out=z)
        np.exp(z, out=d)
        total = d.sum(axis=1, keepdims=True)
        value = -np.vdot(y, z - np.log(total)) / len(y)
        np.divide(d, total, out=d)
        np.subtract(d, y, out=d)
        np.divide(d, len(y), out=d)
        for number in (2, 1, 0):
            d, d_layer = ds[number], gradient[layers[number]]
            np.matmul(inputs[number].T, d, out=d_layer["w"])
            d.sum(axis=0, out=d_layer["b"])
            if number == 0:
                break
            below, h, slope = ds[number - 1], hs[number - 1], slopes[number - 1]
            np.matmul(d, parameters[layers[number]]["w"].T, out=below)
            np.multiply(h, h, out=slope)
            np.subtract(1, slope, out=slope)
            np.multiply(below, slope, out=below)
        return value, gradient

    return function


def workload(batch: int, dtype: str, small: int) -> Workload:
    return Workload(
        name=f"mlp-{batch}-{dtype}",
        description=f"MLP 784-256-128-10, batch {batch}, {dtype}",
        make=make,
        build=build,
        size=(batch, dtype),
        small=(small, dtype),
        hand=hand,
        hand_out=hand_out,
        torch=build_torch,
        bar=1.0,
    )


WORKLOADS = [workload(32, "float32", 3), workload(256, "float64", 4)]
