"""How an equation with bodies runs on NumPy, from the one description of it."""

import functools
from collections.abc import Callable
from typing import Any

from fgrad.caches import remembered
from fgrad.ir import Program
from fgrad.lower.numpy import Executable
from fgrad.primitive import Body

Runs = Callable[..., tuple[Callable[..., Any], dict[str, Any]]]


@remembered(1024)
def executable(body: Program, donated: tuple[int, ...] = ()) -> Executable:
    """A body that runs on NumPy; inputs that are ``donated`` may be overwritten."""
    return Executable(body, donated)


@remembered(1024)
def selects(body: Program) -> bool:
    """Whether floating-point warnings are off for a body, since it selects.

    So it does where elements of a batch run branches and steps that they do not take.
    """
    return any(eqn.prim.name == "where" for eqn in body.eqns)


@remembered(1024)
def _ready(runs: Runs, params: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    function, keywords = runs(**dict(params))
    started = {name: _started(value) for name, value in keywords.items()}
    return functools.partial(function, **started)


def _started(value: Any) -> Any:
    if isinstance(value, Body):
        return executable(value.program, value.donated)
    return tuple(map(_started, value)) if isinstance(value, tuple) else value


def runner(runs: Runs) -> Callable[..., Any]:
    """The function that evaluates a primitive whose record has these ``runs``."""

    def evaluate(*operands: Any, **params: Any) -> Any:
        return _ready(runs, tuple(params.items()))(*operands)

    return evaluate
