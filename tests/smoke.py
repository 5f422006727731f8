"""What must work with NumPy and optree alone; run against the wheel."""

import sys

import numpy as np

import fgrad


def loss(params, x):
    hidden = np.tanh(x @ params["w"] + params["b"])
    hidden[0] = np.where(hidden[0] > 0, np.log(1 + hidden[0] ** 2), 0.0)
    return np.sum(hidden**2)


params = {"w": np.linspace(-1, 1, 6).reshape(3, 2), "b": np.zeros(2)}
x = np.linspace(0, 1, 12).reshape(4, 3)
for _ in range(3):  # interpreted, then compiled
    value, gradient = fgrad.value_and_grad(loss)(params, x)
step = 1e-6 * np.ones((3, 2))
ahead = loss({**params, "w": params["w"] + step}, x)
behind = loss({**params, "w": params["w"] - step}, x)
assert abs((ahead - behind) / 2 - np.sum(gradient["w"] * step)) < 1e-10
program = fgrad.make_program(fgrad.grad(loss))(params, x)
assert fgrad.parse(str(program)) == fgrad.check(program)
heavy = {"jax", "torch", "scipy", "autograd", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
print("smoke test passed")
