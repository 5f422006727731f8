"""Max pooling takes PyTorch's elements, and gives them PyTorch's gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_oracle import torch

import fgrad.torch as ftorch

OPTIONS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    {"kernel_size": (2, 3), "dilation": 2},
]


@pytest.mark.parametrize("has_nan", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equal_elements_and_nan(options: dict[str, Any], has_nan: bool) -> None:
    """Few values, so that most windows have several largest elements."""
    rng = np.random.default_rng(0)
    array = rng.integers(0, 3, (2, 3, 8, 9)).astype("float64")
    if has_nan:
        array[0, 0, 3, 3] = array[1, 2, 0, 5] = np.nan
    results = []
    for module in (ftorch, torch):
        for _ in range(3):  # recorded, and compiled
            x = module.tensor(array, requires_grad=True)
            out = module.nn.functional.max_pool2d(x, **options)
            weights = module.arange(out.numel(), dtype=out.dtype).view(out.shape)
            (out.nan_to_num(7.0) * weights).sum().backward()
        results.append([out.detach().numpy(), x.grad.numpy()])
    for x, y in zip(*results, strict=True):
        np.testing.assert_array_equal(x, y)
