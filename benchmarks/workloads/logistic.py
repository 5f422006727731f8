"""Logistic regression with a ridge penalty; labels are -1 and 1."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Array, Loss, Rng, Workload

RIDGE = 1e-3


def make(rng: Rng, size: tuple[int, int]) -> Arguments:
    rows, columns = size
    x = rng.standard_normal((rows, columns))
    y = np.where(rng.random(rows) < 0.5, -1.0, 1.0)
    return rng.standard_normal(columns) / columns, x, y


def build(np: Any) -> Loss:
    def loss(w: Any, x: Any, y: Any) -> Any:
        margins = y * (x @ w)
        return np.mean(np.logaddexp(0.0, -margins)) + RIDGE * np.sum(w**2)

    return loss


def build_torch(torch: Any) -> Loss:
    def loss(w: Any, x: Any, y: Any) -> Any:
        losses = torch.nn.functional.softplus(-y * (x @ w))
        return torch.mean(losses) + RIDGE * torch.sum(w**2)

    return loss


def hand(w: Array, x: Array, y: Array) -> tuple[Any, Array]:
    margins = y * (x @ w)
    value = np.logaddexp(0.0, -margins).mean() + RIDGE * (w @ w)
    slopes = -y / (1.0 + np.exp(margins))
    return value, (slopes @ x) / len(y) + 2.0 * RIDGE * w


def hand_out(w: Array, x: Array, y: Array) -> Callable[..., tuple[Any, Array]]:
    margins, losses = np.empty((2, len(y)))
    gradient, penalty = np.empty((2, len(w)))

    def function(w: Array, x: Array, y: Array) -> tuple[Any, Array]:
        np.matmul(x, w, out=margins)
        np.multiply(margins, y, out=margins)
        np.negative(margins, out=losses)
        np.logaddexp(0.0, losses, out=losses)
        value = losses.sum() / len(y) + RIDGE * (w @ w)
        np.exp(margins, out=margins)
        np.add(margins, 1.0, out=margins)
        np.divide(y, margins, out=margins)
        np.matmul(margins, x, out=gradient)
        np.multiply(gradient, -1.0 / len(y), out=gradient)
        np.multiply(w, 2.0 * RIDGE, out=penalty)
        np.add(gradient, penalty, out=gradient)
        return value, gradient

    return function


def workload(rows: int, columns: int, label: str, bar: float) -> Workload:
    return Workload(
        name=f"logistic-{label}",
        description=f"logistic regression, {rows} x {columns}",
        make=make,
        build=build,
        size=(rows, columns),
        small=(9, 4),
        hand=hand,
        hand_out=hand_out,
        torch=build_torch,
        bar=bar,
    )


WORKLOADS = [
    workload(1000, 20, "1e3x20", 0.9),
    workload(100_000, 100, "1e5x100", 1.0),
]
