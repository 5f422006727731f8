"""Log-likelihood of a mixture of Gaussians, parametrised as in ADBench: d = 10, k = 25.

The inverse square root of each covariance is lower triangular, with exp(q) on the
diagonal (Srajer, Kukelova, Fitzgibbon, Optim. Methods Softw. 33 (2018) 889); without
the Wishart prior and the constant.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Array, Loss, Rng, Tree, Workload

D, K = 10, 25


def make(rng: Rng, size: int) -> Arguments:
    parameters = {
        "alphas": rng.standard_normal(K),
        "means": rng.standard_normal((K, D)),
        "q": 0.3 * rng.standard_normal((K, D)),
        "lower": 0.3 * rng.standard_normal((K, D, D)),
    }
    return parameters, rng.standard_normal((size, D))


def build(np: Any) -> Loss:
    strictly_lower = np.tril(np.ones((D, D)), -1)
    identity = np.eye(D)

    def log_sum_exp(x: Any) -> Any:
        largest = np.max(x, axis=0, keepdims=True)
        return largest[0] + np.log(np.sum(np.exp(x - largest), axis=0))

    def log_likelihood(p: Any, x: Any) -> Any:
        roots = p["lower"] * strictly_lower + np.exp(p["q"])[:, :, None] * identity
        centred = x[None, :, :] - p["means"][:, None, :]
        scaled = np.matmul(centred, np.swapaxes(roots, 1, 2))
        weights = p["alphas"] + np.sum(p["q"], axis=1)
        terms = weights[:, None] - 0.5 * np.sum(scaled**2, axis=2)
        return np.sum(log_sum_exp(terms)) - x.shape[0] * log_sum_exp(p["alphas"])

    return log_likelihood


def hand(p: Tree, x: Array) -> tuple[Any, Tree]:
    scale = np.exp(p["q"])
    strictly_lower = np.tril(np.ones((D, D)), -1)
    diagonal = np.arange(D)
    roots = p["lower"] * strictly_lower
    roots[:, diagonal, diagonal] = scale
    centred = x[None] - p["means"][:, None]
    scaled = centred @ roots.swapaxes(1, 2)
    terms = np.einsum("knd,knd->kn", scaled, scaled)
    terms *= -0.5
    terms += (p["alphas"] + p["q"].sum(axis=1))[:, None]
    likelihoods, shares = _log_sum_exp(terms)
    total, prior = _log_sum_exp(p["alphas"])
    scaled *= -shares[:, :, None]
    d_roots = scaled.swapaxes(1, 2) @ centred
    counts = shares.sum(axis=1)
    return likelihoods.sum() - len(x) * total, {
        "alphas": counts - len(x) * prior,
        "means": -np.matmul(scaled.sum(axis=1)[:, None], roots)[:, 0],
        "q": d_roots[:, diagonal, diagonal] * scale + counts[:, None],
        "lower": d_roots * strictly_lower,
    }


def _log_sum_exp(x: Array) -> tuple[Array, Array]:
    largest = x.max(axis=0)
    e = np.exp(x - largest)
    total = e.sum(axis=0)
    return largest + np.log(total), e / total


def hand_out(p: Tree, x: Array) -> Callable[..., tuple[Any, Tree]]:
    strictly_lower = np.tril(np.ones((D, D)), -1)
    diagonal = np.arange(D)
    centred, scaled = np.empty((2, K, *x.shape))
    terms, total, largest = np.empty((K, len(x))), np.empty(len(x)), np.empty(len(x))
    roots, d_roots = np.empty((2, K, D, D))
    gradient = {name: np.empty_like(leaf) for name, leaf in p.items()}

    def function(p: Tree, x: Array) -> tuple[Any, Tree]:
        scale = np.exp(p["q"])
        np.multiply(p["lower"], strictly_lower, out=roots)
        roots[:, diagonal, diagonal] = scale
        np.subtract(x, p["means"][:, None], out=centred)
        np.matmul(centred, roots.swapaxes(1, 2), out=scaled)
        np.einsum("knd,knd->kn", scaled, scaled, out=terms)
        np.multiply(terms, -0.5, out=terms)
        np.add(terms, (p["alphas"] + p["q"].sum(axis=1))[:, None], out=terms)
        terms.max(axis=0, out=largest)
        np.subtract(terms, largest, out=terms)
        np.exp(terms, out=terms)
        terms.sum(axis=0, out=total)
        np.divide(terms, total, out=terms)
        np.log(total, out=total)
        prior, shares = _log_sum_exp(p["alphas"])
        value = largest.sum() + total.sum() - len(x) * prior
        counts = terms.sum(axis=1)
        np.multiply(scaled, terms[:, :, None], out=scaled)
        np.matmul(scaled.swapaxes(1, 2), centred, out=d_roots)
        weighted = scaled.sum(axis=1)[:, None]
        np.subtract(counts, len(x) * shares, out=gradient["alphas"])
        np.matmul(weighted, roots, out=gradient["means"][:, None])
        np.multiply(d_roots[:, diagonal, diagonal], scale, out=gradient["q"])
        np.subtract(counts[:, None], gradient["q"], out=gradient["q"])
        np.multiply(d_roots, -strictly_lower, out=gradient["lower"])
        return value, gradient

    return function


def workload(size: int, label: str, bar: float | None) -> Workload:
    return Workload(
        name=f"gmm-{label}",
        description=f"Gaussian mixture log-likelihood, d = 10, k = 25, n = {label}",
        make=make,
        build=build,
        size=size,
        small=6,
        hand=hand,
        hand_out=hand_out,
        bar=bar,
    )


WORKLOADS = [workload(1000, "1e3", None), workload(10_000, "1e4", 0.8)]
