"""Eigenvalues and eigenvectors of general matrices."""

from typing import Any

import numpy as np
import pytest
from torch_oracle import torch

import fgrad
import fgrad.torch as ftorch
from fgrad.testing import check_grads

RNG = np.random.default_rng(0)
GENERAL = RNG.normal(size=(4, 4))  # two real eigenvalues, and a complex pair
SYMMETRIC = GENERAL + GENERAL.T + np.diag(3.0 * np.arange(4))
COMPLEX = GENERAL + 1j * RNG.normal(size=(4, 4))
STACK = RNG.normal(size=(3, 3, 3)) + np.diag(np.arange(3.0))
W, V, U = RNG.normal(size=4), RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4))
MATRICES = {"general": GENERAL, "symmetric": SYMMETRIC, "complex": COMPLEX}


def number(a: Any) -> Any:
    """A number that depends on all that LAPACK chooses."""
    w, v = np.linalg.eig(a)
    values = np.sum(np.real(w) * W + np.imag(w) ** 2)
    return values + np.sum(np.real(v) * V) + np.sum(np.imag(v) ** 2 * U)


@pytest.mark.parametrize("name", MATRICES)
def test_values_and_derivatives(name: str) -> None:
    a = MATRICES[name]
    for f in (
        np.linalg.eigvals,
        lambda a: np.linalg.eig(a)[0],
        lambda a: np.linalg.eig(a)[1],
    ):
        jitted = fgrad.jit(f)
        for _ in range(3):
            np.testing.assert_array_equal(jitted(a), f(a), strict=True)
    check_grads(number, (a,))
    check_grads(lambda a: np.sum(np.abs(np.linalg.eigvals(a)) ** 3), (a,), order=2)
    jitted = fgrad.jit(fgrad.grad(number))
    for _ in range(3):
        np.testing.assert_allclose(jitted(a), fgrad.grad(number)(a), 1e-12, 1e-12)


def test_real_and_complex_eigenvalues_are_two_paths() -> None:
    jitted = fgrad.jit(np.linalg.eigvals)
    for a in (GENERAL, SYMMETRIC, GENERAL, SYMMETRIC):
        np.testing.assert_array_equal(jitted(a), np.linalg.eigvals(a), strict=True)


def test_stacks() -> None:
    f = lambda a: np.sum(np.abs(np.linalg.eigvals(a)) ** 2)
    found = fgrad.grad(lambda a: np.sum(np.abs(np.linalg.eigvals(a)) ** 2))(STACK)
    np.testing.assert_allclose(found, [fgrad.grad(f)(a) for a in STACK], 1e-10, 1e-10)


@pytest.mark.parametrize("name", MATRICES)
def test_gradients_are_those_of_torch(name: str) -> None:
    """Of what does not depend on the phases of vectors, which PyTorch refuses."""
    results = []
    for t in (torch, ftorch):
        for _ in range(3):
            a = t.tensor(MATRICES[name], requires_grad=True)
            w, v = t.linalg.eig(a)
            loss = (w.abs() ** 2).sum() + (v.abs() ** 2 * t.tensor(V)).sum()
            (loss + (t.linalg.eigvals(a).real * t.tensor(W)).sum()).backward()
        results.append([a.grad.numpy(), type(w.grad_fn).__name__])
    np.testing.assert_allclose(results[1][0], results[0][0], 1e-9, 1e-9)
    assert results[0][1] == results[1][1]
