"""``where`` and relu on arrays of all sizes: by branches, by bits, by ``maximum``."""

import numpy as np
import pytest

from fgrad.ops import select

SIZES = (0, 1, 7, select.UNPREDICTABLE - 1, select.UNPREDICTABLE, 20_000)


def special(size: int, dtype: str, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(size).astype(dtype)
    for place, value in enumerate((-0.0, 0.0, np.nan, np.inf, -np.inf)):
        x[place::11] = value
    return x


def same(found: object, expected: object) -> None:
    """To the last bit, signs of zeros included."""
    one, other = np.asarray(found), np.asarray(expected)
    np.testing.assert_array_equal(one, other, strict=True)
    np.testing.assert_array_equal(np.signbit(one), np.signbit(other))


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu(monkeypatch: pytest.MonkeyPatch, dtype: str, keeps: bool) -> None:
    """On processors whose maximum does not keep -0.0, too."""
    if not keeps:
        monkeypatch.setattr(select, "_keeps_zeros", lambda: False)
    for size in SIZES:
        x = special(size, dtype)
        expected = np.where(x < 0, np.zeros((), dtype), x)
        same(select.relu.numpy(x), expected)
        out = np.full_like(x, 3)
        assert select.relu.numpy(x, out=out) is out
        same(out, expected)
        same(select.relu.numpy(x[::-3]), expected[::-3])
    same(select.relu.numpy(np.array([-2, 3])), np.array([0, 3]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kinds", ["xy", "x0", "0y", "xf", "fy", "xs", "sy"])
def test_where(dtype: str, kinds: str) -> None:
    """Arrays, zero, a float, a NumPy scalar: against NumPy's own."""
    for size in SIZES:
        mask = np.random.default_rng(1).random(size) < 0.5
        operands = {
            "x": special(size, dtype, 2),
            "y": special(size, dtype, 3),
            "0": 0.0,
            "f": -1.25,
            "s": np.dtype(dtype).type(0.5),
        }
        x, y = (operands[kind] for kind in kinds)
        expected = np.where(mask, x, y)
        same(select.where.numpy(mask, x, y), expected)
        out = np.full_like(expected, 3)
        assert select.where.numpy(mask, x, y, out=out) is out
        same(out, expected)


def test_where_of_other_types() -> None:
    """What is no case for bits: other dtypes, shapes that are broadcast."""
    size = select.UNPREDICTABLE
    mask = np.arange(size) % 3 == 0
    single, double = special(size, "float32"), special(size, "float64")
    for x, y in (
        (single, double),
        (np.arange(size), double),
        (double, np.ones((2, 1))),
        (single, np.float64(2.0)),
        (1.0, 2.0),
        (double + 1j, 0.0),
    ):
        same_complex = np.where(mask, x, y)
        found = select.where.numpy(mask, x, y)
        np.testing.assert_array_equal(found, same_complex, strict=True)
    np.testing.assert_array_equal(
        select.where.numpy(np.arange(size) % 2, single, 0.0),
        np.where(np.arange(size) % 2, single, np.float32(0)),
    )
