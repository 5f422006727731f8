"""Whether operations are recorded: ``no_grad``, ``enable_grad``, ``inference_mode``...

The mode belongs to the thread, as in PyTorch. Each class is a context manager and a
decorator, with or without parentheses; a generator function runs each of its steps in
the mode.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from fgrad.torch.runs import Run

from fgrad.sites import user_site
from fgrad.torch.cuts import Cut


class _State(threading.local):
    """The modes of a thread.

    Attributes:
        enabled: operations on tensors that require gradients are recorded.
        wanted: as ``enabled``, or it would be so outside inference mode.
        inference: inference mode is on.
    """

    enabled = True
    wanted = True
    inference = False
    level: Any = None  # the open level of dual tensors
    mapped = False  # whether `vmap` runs a function on a whole batch
    watch: Any = None  # the `fgrad.torch.strict` that is in effect
    sites = False  # whether each recorded operation keeps the user's line
    off: Cut | None = None  # where something was not recorded, since it was disabled
    run: Run | None = None  # what this thread records


class _Inference:
    """Whether some thread is in inference mode: asked for where tensors are made."""

    def __init__(self) -> None:
        self.threads = 0
        self.lock = threading.Lock()


STATE = _State()
INFERENCE = _Inference()


def cut_by_mode() -> Cut:
    """What an operation notes that is not recorded; the first one's line is for all."""
    if STATE.off is None:
        STATE.off = "torch.no_grad()", user_site()
    return STATE.off


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require gradients are recorded.

    >>> with torch.no_grad():
    ...     torch.is_grad_enabled()
    False
    """
    return STATE.wanted


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on.

    >>> with torch.inference_mode():
    ...     torch.is_inference_mode_enabled()
    True
    """
    return STATE.inference


def set_mode(mode: bool) -> None:
    """Have operations recorded from here on, or not; inference mode records none."""
    if STATE.enabled:
        STATE.off = None
    STATE.wanted = mode
    STATE.enabled = mode and not STATE.inference


class in_mode:
    """A block in which operations are recorded, or not."""

    __slots__ = ("_before", "_mode")

    def __init__(self, mode: bool) -> None:
        self._mode = mode

    def __enter__(self) -> None:
        self._before = STATE.wanted
        set_mode(self._mode)

    def __exit__(self, *exception: object) -> None:
        set_mode(self._before)


class _Mode:
    """A context manager and decorator that sets the mode to ``mode``."""

    mode: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(STATE.wanted)
        set_mode(self.mode)

    def __exit__(self, *exception: object) -> None:
        set_mode(self._before.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return _called_in(functools.partial(in_mode, self.mode), function)


def _called_in(
    mode: Callable[[], Any], function: Callable[..., Any]
) -> Callable[..., Any]:
    """``function``, always called in a mode: in a context that ``mode`` makes."""
    if inspect.isgeneratorfunction(function):
        return _generator_in(mode, function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with mode():
            return function(*args, **kwargs)

    return call


def _generator_in(
    mode: Callable[[], Any], function: Callable[..., Any]
) -> Callable[..., Any]:
    """A generator function whose steps run in a mode, its consumer in its own."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = function(*args, **kwargs)
        resume: Callable[[], Any] = functools.partial(next, steps)
        while True:
            try:
                with mode():
                    item = resume()
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield item
                resume = functools.partial(steps.send, sent)
            except GeneratorExit:
                with mode():
                    steps.close()
                raise
            except BaseException as error:
                resume = functools.partial(steps.throw, error)

    return call


class _Bare(_Mode):
    """A mode that also decorates without parentheses: ``@torch.no_grad``."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        if function is None:
            return super().__new__(cls)
        return _called_in(functools.partial(in_mode, cls.mode), function)


@final
class no_grad(_Bare):
    """Operations in it are not recorded; their results do not require gradients.

    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    mode = False


@final
class enable_grad(_Bare):
    """Operations in it are recorded, also inside ``no_grad``; also a decorator.

    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad(), torch.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    mode = True


@final
class set_grad_enabled(_Mode):
    """Sets the mode at once; as a context manager, until its end.

    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.set_grad_enabled(False):
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.mode = bool(mode)
        self._outside = STATE.wanted
        set_mode(self.mode)

    def __enter__(self) -> None:
        self._before.append(self._outside)
        set_mode(self.mode)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        set_mode(self._outside)
        return super().__call__(function)

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"


class _Inferring:
    """A block in inference mode, or in the normal mode inside it."""

    __slots__ = ("_before", "_mode")

    def __init__(self, mode: bool) -> None:
        self._mode = mode

    def __enter__(self) -> None:
        self._before = STATE.inference, STATE.wanted
        _set_inference(self._mode, not self._mode)

    def __exit__(self, *exception: object) -> None:
        _set_inference(*self._before)


def _set_inference(inference: bool, wanted: bool) -> None:
    with INFERENCE.lock:
        INFERENCE.threads += inference - STATE.inference
    STATE.inference = inference
    set_mode(wanted)


@final
class inference_mode:
    """As `no_grad`, and tensors made in it never take part in what is recorded.

    They are *inference tensors*: outside they can be read, but neither be changed nor
    be saved for `backward`, so that nothing need be noted of their changes.

    Args:
        mode: False ends inference mode for the block.

    >>> with torch.inference_mode():
    ...     y = torch.ones(2) * 2
    >>> y.is_inference(), y.requires_grad
    (True, False)
    """

    def __new__(cls, mode: Any = True) -> Any:
        """The mode, or a function that is called in it: ``@torch.inference_mode``."""
        if isinstance(mode, bool):
            return super().__new__(cls)
        return cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode
        self._blocks: list[_Inferring] = []

    def __enter__(self) -> None:
        self._blocks.append(_Inferring(self.mode))
        self._blocks[-1].__enter__()

    def __exit__(self, *exception: object) -> None:
        self._blocks.pop().__exit__()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return _called_in(functools.partial(_Inferring, self.mode), function)
