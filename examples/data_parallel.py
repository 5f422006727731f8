"""Train on several devices: each has a part of the batch, and all have the parameters.

Run ``python examples/data_parallel.py``. Where jax sees fewer than two devices, the CPU
stands for eight. The step is plain NumPy code; where arrays lie is said by their
shardings, and XLA sums the gradients over the devices. The same training on one device
gives the same parameters.
"""

import argparse
import itertools
import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import fgrad

RATE = 0.2


def make_data(rng, rows):
    """Points on a noisy surface."""
    x = rng.uniform(-1, 1, (rows, 8)).astype("float32")
    noise = rng.normal(0, 0.01, rows).astype("float32")
    return x, np.sin(x @ np.linspace(-1, 2, 8, dtype="float32")) + noise


def make_params(rng, sizes=(8, 32, 32, 1)):
    """Weights and biases of a small network."""
    return [
        {
            "w": rng.normal(0, n**-0.5, (n, m)).astype("float32"),
            "b": np.zeros(m, "float32"),
        }
        for n, m in itertools.pairwise(sizes)
    ]


def loss(params, x, y):
    """The mean squared error of the network."""
    for layer in params[:-1]:
        x = np.tanh(x @ layer["w"] + layer["b"])
    out = x @ params[-1]["w"] + params[-1]["b"]
    return np.mean((out[:, 0] - y) ** 2)


def update(params, x, y):
    """One step of gradient descent."""
    value, grads = fgrad.value_and_grad(loss)(params, x, y)
    pairs = zip(params, grads, strict=True)
    new = [{k: layer[k] - RATE * grad[k] for k in layer} for layer, grad in pairs]
    return new, value


def train(mesh, steps, batch):
    """The parameters after some steps on the devices of a mesh."""
    rng = np.random.default_rng(0)
    everywhere = NamedSharding(mesh, PartitionSpec())
    in_parts = NamedSharding(mesh, PartitionSpec("data"))
    step = fgrad.jit(
        update,
        backend="jax",
        in_shardings=(everywhere, in_parts, in_parts),
        out_shardings=(everywhere, everywhere),
        donate_argnums=0,
    )
    params = jax.device_put(make_params(rng), everywhere)
    for number in range(steps):
        params, value = step(params, *make_data(rng, batch))
        if number % 20 == 0 or number == steps - 1:
            print(f"  step {number:3d}  loss {float(value):.5f}")
    return params


def main():
    """Train on one device and on all, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=61)
    parser.add_argument("--batch", type=int, default=1024)
    options = parser.parse_args()
    devices = np.array(jax.devices())
    results = []
    for chosen in (devices[:1], devices):
        print(f"{chosen.size} {chosen[0].platform} device(s)")
        results.append(train(Mesh(chosen, "data"), options.steps, options.batch))
    one, many = (jax.tree.leaves(params) for params in results)
    print(f"parameters lie on {len(many[0].sharding.device_set)} devices")
    pairs = zip(one, many, strict=True)
    difference = max(np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in pairs)
    print(f"largest difference to one device: {difference:.1e}")


if __name__ == "__main__":
    main()
