"""A small convolutional network, 28 x 28 images, batch 8: LeNet with 3 x 3 kernels.

Convolution is a product with the patches of the image, written as nine slices side by
side; kernels have the shape (3 * 3 * channels in, channels out).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.workload import Arguments, Array, Loss, Rng, Tree, Workload

SIDE, CLASSES = 28, 10
FIRST, SECOND = 8, 16  # channels
FLAT = 5 * 5 * SECOND  # 28 -> 26 -> 13 -> 11 -> 5


def make(rng: Rng, size: int) -> Arguments:
    parameters = {
        "kernel1": rng.standard_normal((9, FIRST)) / 3.0,
        "bias1": np.zeros(FIRST),
        "kernel2": rng.standard_normal((9 * FIRST, SECOND)) / (9 * FIRST) ** 0.5,
        "bias2": np.zeros(SECOND),
        "dense": rng.standard_normal((FLAT, CLASSES)) / FLAT**0.5,
        "bias3": np.zeros(CLASSES),
    }
    x = rng.standard_normal((size, SIDE, SIDE, 1))
    return parameters, x, np.eye(CLASSES)[rng.integers(CLASSES, size=size)]


def build(np: Any) -> Loss:
    def convolve(x: Any, kernel: Any) -> Any:
        rows, columns = x.shape[1] - 2, x.shape[2] - 2
        shifted = [
            x[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)
        ]
        return np.concatenate(shifted, axis=3) @ kernel

    def pool(x: Any) -> Any:
        batch, rows, columns, channels = x.shape
        rows, columns = rows // 2, columns // 2
        x = x[:, : 2 * rows, : 2 * columns]
        return np.max(x.reshape(batch, rows, 2, columns, 2, channels), axis=(2, 4))

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = pool(np.maximum(convolve(x, p["kernel1"]) + p["bias1"], 0.0))
        h = pool(np.maximum(convolve(h, p["kernel2"]) + p["bias2"], 0.0))
        z = h.reshape(x.shape[0], FLAT) @ p["dense"] + p["bias3"]
        z = z - np.max(z, axis=1, keepdims=True)
        log_total = np.log(np.sum(np.exp(z), axis=1, keepdims=True))
        return -np.mean(np.sum(y * (z - log_total), axis=1))

    return loss


def build_torch(torch: Any) -> Loss:
    functional = torch.nn.functional

    def layer(x: Any, kernel: Any, bias: Any) -> Any:
        weight = kernel.reshape(3, 3, x.shape[1], -1).permute(3, 2, 0, 1)
        return functional.max_pool2d(functional.conv2d(x, weight, bias).relu(), 2)

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = layer(x.permute(0, 3, 1, 2), p["kernel1"], p["bias1"])
        h = layer(h, p["kernel2"], p["bias2"])
        flat = h.permute(0, 2, 3, 1).reshape(-1, FLAT)
        return functional.cross_entropy(flat @ p["dense"] + p["bias3"], y)

    return loss


def hand(p: Tree, x: Array, y: Array) -> tuple[Any, Tree]:
    patches1, blocks1, h1 = _layer(x, p["kernel1"], p["bias1"])
    patches2, blocks2, h2 = _layer(h1, p["kernel2"], p["bias2"])
    flat = h2.reshape(len(x), FLAT)
    z = flat @ p["dense"] + p["bias3"]
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    value = -np.vdot(y, z - np.log(total)) / len(y)
    d_z = (e / total - y) / len(y)
    d_2 = _through_pool((d_z @ p["dense"].T).reshape(h2.shape), blocks2, h2)
    rows, columns = 2 * h2.shape[1], 2 * h2.shape[2]
    d_patches = (d_2 @ p["kernel2"].T).reshape(len(x), rows, columns, 3, 3, FIRST)
    d_h1 = np.zeros_like(h1)
    for i in range(3):
        for j in range(3):
            d_h1[:, i : i + rows, j : j + columns] += d_patches[:, :, :, i, j]
    d_1 = _through_pool(d_h1, blocks1, h1)
    return value, {
        "kernel1": patches1.T @ d_1,
        "bias1": d_1.sum(axis=0),
        "kernel2": patches2.T @ d_2,
        "bias2": d_2.sum(axis=0),
        "dense": flat.T @ d_z,
        "bias3": d_z.sum(axis=0),
    }


def _layer(x: Array, kernel: Array, bias: Array) -> tuple[Array, Array, Array]:
    """The patches that pooling uses, what it compares, and its result."""
    windows = sliding_window_view(x, (3, 3), axis=(1, 2))
    batch, rows, columns = len(x), windows.shape[1] // 2, windows.shape[2] // 2
    windows = windows[:, : 2 * rows, : 2 * columns].transpose(0, 1, 2, 4, 5, 3)
    patches = windows.reshape(-1, len(kernel))
    out = patches @ kernel
    out += bias
    blocks = out.reshape(batch, rows, 2, columns, 2, -1)
    upper = np.maximum(blocks[:, :, 0], blocks[:, :, 1])
    pooled = np.maximum(upper[:, :, :, 0], upper[:, :, :, 1])
    return patches, blocks, np.maximum(pooled, 0.0)


def _through_pool(d: Array, blocks: Array, pooled: Array) -> Array:
    """Where a unit was cut off at zero none of its block equals it."""
    is_largest = blocks == pooled[:, :, None, :, None]
    d_blocks: Array = is_largest * d[:, :, None, :, None]
    return d_blocks.reshape(-1, d.shape[-1])


class Layer:
    """Buffers of a layer: convolution, bias, pooling, and the way back."""

    def __init__(self, x: Array, kernel: Array) -> None:
        batch, rows, columns = len(x), (x.shape[1] - 2) // 2, (x.shape[2] - 2) // 2
        taken, channels = kernel.shape
        self.places = np.empty((batch, 2 * rows, 2 * columns, 3, 3, x.shape[3]))
        self.patches = self.places.reshape(-1, taken)
        self.d_places = np.empty_like(self.places)
        self.flat = np.empty((len(self.patches), channels))
        self.blocks = self.flat.reshape(batch, rows, 2, columns, 2, channels)
        self.upper = np.empty((batch, rows, columns, 2, channels))
        self.pooled = np.empty((batch, rows, columns, channels))
        self.is_largest = np.empty(self.blocks.shape, bool)

    def forward(self, x: Array, kernel: Array, bias: Array) -> Array:
        """The pooled result, which stays in its buffer."""
        blocks, upper, pooled = self.blocks, self.upper, self.pooled
        rows, columns = self.places.shape[1:3]
        windows = sliding_window_view(x, (3, 3), axis=(1, 2))[:, :rows, :columns]
        np.copyto(self.places, windows.transpose(0, 1, 2, 4, 5, 3))
        np.matmul(self.patches, kernel, out=self.flat)
        np.add(self.flat, bias, out=self.flat)
        np.maximum(blocks[:, :, 0], blocks[:, :, 1], out=upper)
        np.maximum(upper[:, :, :, 0], upper[:, :, :, 1], out=pooled)
        return np.maximum(pooled, 0.0, out=pooled)

    def backward(self, d: Array, d_kernel: Array, d_bias: Array) -> None:
        """Gradients of the parameters; the activations become their cotangents."""
        pooled = self.pooled[:, :, None, :, None]
        np.equal(self.blocks, pooled, out=self.is_largest)
        np.multiply(self.is_largest, d[:, :, None, :, None], out=self.blocks)
        np.matmul(self.patches.T, self.flat, out=d_kernel)
        self.flat.sum(axis=0, out=d_bias)

    def spread(self, kernel: Array, d_x: Array) -> None:
        """The cotangent of the layer's input, after `backward`."""
        rows, columns = self.places.shape[1:3]
        np.matmul(self.flat, kernel.T, out=self.d_places.reshape(self.patches.shape))
        d_x[:] = 0.0
        for i in range(3):
            for j in range(3):
                part = d_x[:, i : i + rows, j : j + columns]
                np.add(part, self.d_places[:, :, :, i, j], out=part)


def hand_out(p: Tree, x: Array, y: Array) -> Callable[..., tuple[Any, Tree]]:
    first = Layer(x, p["kernel1"])
    second = Layer(first.pooled, p["kernel2"])
    d_1, d_2 = np.empty_like(first.pooled), np.empty_like(second.pooled)
    gradient = {name: np.empty_like(leaf) for name, leaf in p.items()}

    def function(p: Tree, x: Array, y: Array) -> tuple[Any, Tree]:
        h = first.forward(x, p["kernel1"], p["bias1"])
        flat = second.forward(h, p["kernel2"], p["bias2"]).reshape(len(x), FLAT)
        z = flat @ p["dense"] + p["bias3"]
        z -= z.max(axis=1, keepdims=True)
        d_z = np.exp(z)
        total = d_z.sum(axis=1, keepdims=True)
        value = -np.vdot(y, z - np.log(total)) / len(y)
        d_z /= total
        d_z -= y
        d_z /= len(y)
        np.matmul(flat.T, d_z, out=gradient["dense"])
        d_z.sum(axis=0, out=gradient["bias3"])
        np.matmul(d_z, p["dense"].T, out=d_2.reshape(len(x), FLAT))
        second.backward(d_2, gradient["kernel2"], gradient["bias2"])
        second.spread(p["kernel2"], d_1)
        first.backward(d_1, gradient["kernel1"], gradient["bias1"])
        return value, gradient

    return function


WORKLOADS = [
    Workload(
        name="cnn",
        description="convolutional network, 28 x 28 images, batch 8",
        make=make,
        build=build,
        size=8,
        small=2,
        hand=hand,
        hand_out=hand_out,
        torch=build_torch,
        bar=1.0,
    )
]
