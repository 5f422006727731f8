"""A line search for the strong Wolfe conditions (Nocedal and Wright, 3.5 and 3.6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

DECREASE, CURVATURE = 1e-4, 0.9
SMALLEST, TRIALS = 1e-9, 25

Point = tuple[float, float, Any, float]  # a step, the loss, the gradient, the slope


def cubic_minimum(
    x1: float,
    f1: float,
    g1: float,
    x2: float,
    f2: float,
    g2: float,
    bounds: tuple[float, float] | None = None,
) -> float:
    """The minimum of the cubic through two points with slopes, within bounds."""
    low, high = bounds or (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if square < 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    if x1 <= x2:
        place = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        place = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(place, low), high)


def strong_wolfe(
    attempt: Callable[[float], tuple[float, Any]],
    step: float,
    direction: Any,
    loss: float,
    gradient: Any,
    slope: float,
) -> tuple[float, Any, float, int]:
    """A step along a direction that decreases loss and slope enough.

    Returns:
        The loss, the gradient, the step, and how many points were tried.
    """
    longest = float(direction.abs().max())
    start: Point = (0.0, loss, gradient, slope)
    count = 0

    def point(t: float) -> Point:
        nonlocal count
        count += 1
        value, found = attempt(t)
        return t, value, found, float(found.dot(direction))

    def is_too_high(here: Point) -> bool:
        return here[1] > loss + DECREASE * here[0] * slope

    before, here = start, point(step)
    trials = 0
    bracket: list[Point] | None = None
    while trials < TRIALS:
        if is_too_high(here) or (trials > 1 and here[1] >= before[1]):
            bracket = [before, here]
            break
        if abs(here[3]) <= -CURVATURE * slope:
            return here[1], here[2], here[0], count
        if here[3] >= 0:
            bracket = [before, here]
            break
        low = here[0] + 0.01 * (here[0] - before[0])
        high = here[0] * 10
        ends = (before[0], before[1], before[3], here[0], here[1], here[3])
        longer = cubic_minimum(*ends, bounds=(low, high))
        before, here = here, point(longer)
        trials += 1
    if bracket is None:
        bracket = [start, here]
    best = _zoom(bracket, point, is_too_high, slope, longest, trials)
    return best[1], best[2], best[0], count


def _zoom(
    bracket: list[Point],
    point: Callable[[float], Point],
    is_too_high: Callable[[Point], bool],
    slope: float,
    longest: float,
    trials: int,
) -> Point:
    """Shrink a bracket around a step that will do; its best end is returned."""
    is_stuck = False
    best, worst = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
    while trials < TRIALS:
        if abs(bracket[1][0] - bracket[0][0]) * longest < SMALLEST:
            break
        (x1, f1, _, g1), (x2, f2, _, g2) = bracket
        step = cubic_minimum(x1, f1, g1, x2, f2, g2)
        low, high = min(x1, x2), max(x1, x2)
        margin = 0.1 * (high - low)
        if min(high - step, step - low) < margin:
            if is_stuck or step >= high or step <= low:
                nearer_high = abs(step - high) < abs(step - low)
                step = high - margin if nearer_high else low + margin
                is_stuck = False
            else:
                is_stuck = True
        else:
            is_stuck = False
        here = point(step)
        trials += 1
        if is_too_high(here) or here[1] >= bracket[best][1]:
            bracket[worst] = here
            best, worst = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
            continue
        is_done = abs(here[3]) <= -CURVATURE * slope
        if not is_done and here[3] * (bracket[worst][0] - bracket[best][0]) >= 0:
            bracket[worst] = bracket[best]
        bracket[best] = here
        if is_done:
            break
    return bracket[best]
