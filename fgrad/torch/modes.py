"""Whether operations are recorded: ``no_grad``, ``enable_grad``, ``set_grad_enabled``.

The mode belongs to the thread, as in PyTorch. Each class is a context manager and a
decorator, with or without parentheses; a generator function runs each of its steps in
the mode.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from typing import Any, final


class _State(threading.local):
    enabled = True


STATE = _State()


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require gradients are recorded."""
    return STATE.enabled


class _Mode:
    """A context manager and decorator that sets the mode to ``mode``."""

    mode: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(STATE.enabled)
        STATE.enabled = self.mode

    def __exit__(self, *exception: object) -> None:
        STATE.enabled = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return _in_mode(self.mode, function)


def _in_mode(mode: bool, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, always called in a mode."""
    if inspect.isgeneratorfunction(function):
        return _generator_in_mode(mode, function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        before, STATE.enabled = STATE.enabled, mode
        try:
            return function(*args, **kwargs)
        finally:
            STATE.enabled = before

    return call


def _generator_in_mode(mode: bool, function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function whose steps run in a mode, its consumer in its own."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = function(*args, **kwargs)
        resume: Callable[[], Any] = functools.partial(next, steps)
        while True:
            try:
                item = _in_mode(mode, resume)()
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield item
                resume = functools.partial(steps.send, sent)
            except GeneratorExit:
                _in_mode(mode, steps.close)()
                raise
            except BaseException as error:
                resume = functools.partial(steps.throw, error)

    return call


class _Bare(_Mode):
    """A mode that also decorates without parentheses: ``@torch.no_grad``."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        if function is None:
            return super().__new__(cls)
        return _in_mode(cls.mode, function)


@final
class no_grad(_Bare):
    """Operations in it are not recorded; their results do not require gradients.

    >>> import fgrad.torch as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    mode = False


@final
class enable_grad(_Bare):
    """Operations in it are recorded, also inside ``no_grad``."""

    mode = True


@final
class set_grad_enabled(_Mode):
    """Sets the mode at once; as a context manager, until its end."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.mode = bool(mode)
        self._outside = STATE.enabled
        STATE.enabled = self.mode

    def __enter__(self) -> None:
        self._before.append(self._outside)
        STATE.enabled = self.mode

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        STATE.enabled = self._outside
        return _in_mode(self.mode, function)

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"
