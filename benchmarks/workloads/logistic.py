"""Logistic regression with a ridge penalty; labels are -1 and 1."""

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


def workload(rows: int, columns: int, label: str) -> Workload:
    return Workload(
        name=f"logistic-{label}",
        description=f"logistic regression, {rows} x {columns}",
        make=make,
        build=build,
        size=(rows, columns),
        small=(9, 4),
        hand=hand,
        torch=build_torch,
    )


WORKLOADS = [workload(1000, 20, "1e3x20"), workload(100_000, 100, "1e5x100")]
