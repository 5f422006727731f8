"""What fgrad remembers between calls: bounded, observable, and forgotten on request."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
_functions: list["functools._lru_cache_wrapper[object]"] = []
_others: list[Callable[[], None]] = []


class JitInfo(NamedTuple):
    """How often a jitted function was served from its cache, and what this holds."""

    hits: int
    misses: int
    signatures: int
    paths: int


def remembered(
    maxsize: int,
) -> Callable[[Callable[..., T]], "functools._lru_cache_wrapper[T]"]:
    """``functools.lru_cache`` whose content `clear_caches` forgets, too."""

    def decorate(function: Callable[..., T]) -> "functools._lru_cache_wrapper[T]":
        cached = functools.lru_cache(maxsize)(function)
        _functions.append(cached)
        return cached

    return decorate


def exact_key(value: Any) -> Any:
    """A key that tells apart what is equal, not the same: 1, 1.0, True; 0.0, -0.0."""
    if isinstance(value, tuple):
        return type(value), tuple(map(exact_key, value))
    if isinstance(value, int | float | complex):
        return type(value), repr(value)
    return type(value), value


def forgotten_by(clear: Callable[[], None]) -> None:
    """Let `clear_caches` call a function that forgets something else."""
    _others.append(clear)


def clear_caches() -> None:
    """Forget all structures, derived and compiled programs.

    What is needed again is derived again, so that results do not change.

    >>> import numpy as np, fgrad
    >>> fgrad.clear_caches()
    >>> fgrad.grad(np.sin)(0.0)
    np.float64(1.0)
    """
    for function in _functions:
        function.cache_clear()
    for clear in _others:
        clear()


def cache_info() -> dict[str, tuple[int, int | None]]:
    """For each cache of derived programs and bodies its size and its bound.

    >>> import fgrad
    >>> size, bound = fgrad.cache_info()["fgrad.transforms.vjp.pullback_program"]
    >>> size <= bound
    True
    """
    info = {}
    for function in _functions:
        wrapped = function.__wrapped__
        state = function.cache_info()
        name = f"{wrapped.__module__}.{wrapped.__qualname__}"
        info[name] = state.currsize, state.maxsize
    return info
