"""The short way to an operation that was recorded before at the same place.

Checks of operands, promotion, names of nodes: for operands of the same types all of
that comes out as it did before. So a call that added one step to the structure is
remembered at the step before it, under the function that was called and the numbers of
its operands, and the next such call goes there at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from fgrad.torch.devices import DEVICES
from fgrad.torch.following import follower
from fgrad.torch.keys import UNKEYED, part_key
from fgrad.torch.modes import STATE
from fgrad.torch.outputs import call_into
from fgrad.torch.placement import call_on_device, is_elsewhere
from fgrad.torch.runs import Run, begin_run
from fgrad.torch.steps import STEPS, Step
from fgrad.torch.tensor import Tensor
from fgrad.torch.watch import WATCH

SAME: Any = object()  # the code of a second operand that is the first one

Function = TypeVar("Function", bound=Callable[..., Any])


def _again(function: Any, args: tuple[Any, ...]) -> Any:
    """The result of the call that followed here before; None for another call."""
    if WATCH.active or not STATE.enabled:
        return None
    run = STATE.run
    if run is None:
        follow = STEPS.root.followers.get(function)
        return None if follow is None else follow(begin_run(), args)
    follow = run.step.followers.get(function)
    return None if follow is None or not run.is_lazy else follow(run, args)


def repeated_operator(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An operator that takes the short way where it can; numbers are operands, too."""

    def call(x: Any, y: Any) -> Any:
        result = _again(function, (x, y))
        if result is not None:
            return result
        if DEVICES.is_on and is_elsewhere((x, y)):
            return call_on_device(function, (x, y), {})
        requires = x._requires or (isinstance(y, Tensor) and y._requires)
        if not requires or WATCH.active or not STATE.enabled:
            return function(x, y)
        run = STATE.run or begin_run()
        code = _code(run, x)
        is_same = y is x and type(code) is not int
        key = (function, code, SAME if is_same else _code(run, y))
        return _through(run, key, function, (x, y))

    call.places = True  # type: ignore[attr-defined]
    return call


def _code(run: Run, x: Any) -> Any:
    """What an operand is: its number in the run, or the type of what may enter."""
    if not isinstance(x, Tensor):
        return type(x)
    place = x._place
    if place is not None and place[0] is run:
        return place[1]
    return x._aval, x._requires


def repeated(function: Function) -> Function:
    """Let calls with the same kinds of positional arguments take the short way.

    Tensors are operands, all else is part of the structure.
    """

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if not named:
            result = _again(function, args)
            if result is not None:
                return result
        elif "out" in named:
            return call_into(call, args, named)
        if DEVICES.is_on and is_elsewhere((*args, *named.values())):
            return call_on_device(function, args, named)
        if named or WATCH.active or not STATE.enabled:
            return function(*args, **named)
        run = STATE.run or begin_run()
        codes: list[Any] = [function]
        is_required = False
        for x in args:
            code: Any
            if isinstance(x, Tensor):
                is_required = is_required or x._requires
                place = x._place
                is_known = place is not None and place[0] is run
                code = place[1] if is_known else (x._aval, x._requires)
            else:
                code = part_key(x)
                if code is UNKEYED:
                    return function(*args)
            codes.append(code)
        if not is_required:
            return function(*args)
        if len(args) > 1 and len(set(map(id, args))) < len(args):
            known = list(map(id, args))
            codes.append(tuple(map(known.index, known)))
        return _through(run, tuple(codes), function, args)

    call.places = True  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def _through(run: Run, key: Any, function: Any, args: tuple[Any, ...]) -> Any:
    """The results of a call: by the short way if it is known, else found out."""
    before = run.step
    known = before.shortcuts.get(key)
    if known is None or not run.is_lazy:
        result = function(*args)
        if STATE.run is run and run.step.parent is before:
            _remember(run, before, key, args)
        return result
    step, order = known
    entered = len(run.inputs)
    parts: list[Any] = []
    try:
        for k in order:
            if not run.enter(args[k], parts, step.view):
                break
    except BaseException:
        run.undo(entered)
        raise
    if parts == step.parts:
        before.followers[function] = follower(run, step, args, order)
        return run.add(step)
    run.undo(entered)
    return function(*args)


def _remember(run: Run, before: Step, key: Any, args: tuple[Any, ...]) -> None:
    """Note the step that a call added, if all that entered were its operands."""
    step = run.step
    places: dict[int, int] = {}
    numbers: list[int] = []
    for k, x in enumerate(args):
        if isinstance(x, Tensor):
            if x._place is not None and x._place[0] is run:
                places.setdefault(x._place[1], k)
        elif type(x) is key[k + 1]:  # a number that is an operand
            numbers.append(k)
    order: list[int] = []
    for source in step.sources:
        if source.number in places:
            order.append(places[source.number])
        elif numbers and source.aval.is_python:
            order.append(numbers.pop(0))
        else:
            return
    if numbers or (_takes_number(order, args) and _closes_over(step)):
        return
    before.shortcuts[key] = step, order


def _takes_number(order: list[int], args: tuple[Any, ...]) -> bool:
    return any(not isinstance(args[k], Tensor) for k in order)


def _closes_over(step: Step) -> bool:
    """Whether a number may be part of the structure, and an operand besides."""
    return getattr(step.function, "__closure__", None) is not None
