"""Functions with derivatives of the user's, where jax differentiates the program.

jax would look through such a function, and miss its rule; so it is told of it. A rule
is traced with types only, when jax asks for the derivative.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Function = Callable[..., Sequence[Any]]


def with_pullback(
    jax: Any,
    primal: Function,
    forward: Function,
    pull: Function,
    count: int,
    operands: Sequence[Any],
) -> list[Any]:
    """The results of ``primal(*operands)``.

    jax differentiates it by ``pull(operands, outs, cotangents)``, where ``outs`` is
    what ``forward(*operands)`` returns: ``count`` results first. It gives a cotangent
    for each operand that is floating-point.
    """
    wide = _with_all_bits(jax)
    function = jax.custom_vjp(lambda *xs: tuple(primal(*xs)))

    @wide
    def run(*xs: Any) -> Any:
        outs = tuple(forward(*xs))
        return outs[:count], (xs, outs)

    @wide
    def back(saved: Any, cts: Any) -> Any:
        xs, outs = saved
        found = iter(pull(xs, outs, [_varying(jax, ct) for ct in cts]))
        return tuple(next(found) if _is_inexact(x) else None for x in xs)

    function.defvjp(run, back)
    return list(function(*operands))


def with_tangents(
    jax: Any, primal: Function, push: Function, operands: Sequence[Any]
) -> list[Any]:
    """The results of ``primal(*operands)``.

    jax differentiates it by ``push(operands, results, tangents)``, which gives one for
    each result that is floating-point.
    """
    function = jax.custom_jvp(lambda *xs: tuple(primal(*xs)))

    @_with_all_bits(jax)
    def rule(primals: Any, tangents: Any) -> Any:
        outs = function(*primals)
        found = iter(push(primals, outs, [_varying(jax, t) for t in tangents]))
        zero = jax.dtypes.float0
        return outs, tuple(
            next(found) if _is_inexact(x) else np.zeros(x.shape, zero) for x in outs
        )

    function.defjvp(rule)
    return list(function(*operands))


def _with_all_bits(jax: Any) -> Callable[[Function], Function]:
    """As `fgrad.lower.jax.jax_function` has it while it is traced."""

    def decorate(function: Function) -> Function:
        def call(*args: Any) -> Any:
            precision = jax.config.jax_default_matmul_precision or "highest"
            with jax.enable_x64(True), jax.default_matmul_precision(precision):
                return function(*args)

        return call

    return decorate


def _varying(jax: Any, x: Any) -> Any:
    """A tangent or cotangent; None for what jax has in place of one of an integer."""
    return None if x.dtype == jax.dtypes.float0 else x


def _is_inexact(x: Any) -> bool:
    return np.dtype(x.dtype).kind in "fc"
