"""Special functions: values, slopes, dtypes and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from test_torch_names import PRELUDE
from torch_oracle import agree, snippets, torch

import fgrad.torch

EDGES = "e = torch.tensor([.5, 2., -1., 0., -0., inf, nan, -inf, 40., 2.5]).double()"


@pytest.mark.parametrize("source", snippets("special"))
def test_texts(source: str) -> None:
    agree(f"{PRELUDE}\n{EDGES}\n{source}")


PLACES = np.concatenate([np.linspace(-40, 40, 401), np.geomspace(1e-9, 1e5, 101)])
EXACT: dict[str, Any] = {
    "airy_ai": lambda x: scipy.special.airy(x)[0],
    "bessel_j0": scipy.special.j0,
    "bessel_j1": scipy.special.j1,
    "bessel_y0": scipy.special.y0,
    "bessel_y1": scipy.special.y1,
    "i0e": scipy.special.i0e,
    "i1": scipy.special.i1,
    "i1e": scipy.special.i1e,
    "modified_bessel_i0": scipy.special.i0,
    "modified_bessel_i1": scipy.special.i1,
    "modified_bessel_k0": scipy.special.k0,
    "modified_bessel_k1": scipy.special.k1,
    "scaled_modified_bessel_k0": scipy.special.k0e,
    "scaled_modified_bessel_k1": scipy.special.k1e,
    "spherical_bessel_j0": lambda x: scipy.special.spherical_jn(0, x),
}


@pytest.mark.parametrize("name", list(EXACT))
def test_bessel_functions(name: str) -> None:
    """To the last digits; PyTorch's own have errors of 1e-6 near the zeros."""
    special: Any = fgrad.torch.special
    found = getattr(special, name)(fgrad.torch.tensor(PLACES)).numpy()
    theirs = getattr(torch.special, name)(torch.tensor(PLACES)).numpy()
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(theirs))
    inside = np.isfinite(found)
    np.testing.assert_allclose(found[inside], theirs[inside], 1e-2, 5e-6)
    expected = EXACT[name](PLACES)[inside]
    np.testing.assert_allclose(found[inside], expected, 1e-11, 1e-14)


@pytest.mark.parametrize("name", ["igamma", "igammac"])
def test_incomplete_gamma_functions(name: str) -> None:
    """Beside SciPy's; far above an order of 1e6 theirs have six digits."""
    rng = np.random.default_rng(0)
    order = 10 ** rng.uniform(-3, 5, 400)
    place = order * np.abs(1 + 4 * rng.standard_normal(400) / np.sqrt(order))
    torch_: Any = fgrad.torch
    found = getattr(torch_, name)(torch_.tensor(order), torch_.tensor(place)).numpy()
    exact = {"igamma": scipy.special.gammainc, "igammac": scipy.special.gammaincc}
    np.testing.assert_allclose(found, exact[name](order, place), 1e-8, 1e-12)


def test_incomplete_gamma_functions_of_large_orders() -> None:
    """An integral of the density with 30 digits, where PyTorch's value is wrong."""
    torch_: Any = fgrad.torch
    order, place = (
        torch_.tensor(x, dtype=torch_.float64)
        for x in (762591491.6028297, 762466798.2483076)
    )
    found = torch_.igamma(order, place).item()
    assert found == pytest.approx(3.156209042030150e-06, rel=1e-9)
