"""What looks at each value that is computed, in the threads that ask for it."""

import threading
from collections.abc import Callable

Check = Callable[..., None]  # of primitive, params, operands, output, and site


class _Active(threading.local):
    check: Check | None = None


_ACTIVE = _Active()
CHECKS: list[None] = []  # one for each thread whose values are looked at


def active_check() -> Check | None:
    """What looks at the values of this thread, if anything does."""
    return _ACTIVE.check if CHECKS else None


def set_check(check: Check | None) -> None:
    """Let a function look at each value that is computed in this thread."""
    if _ACTIVE.check is not None:
        CHECKS.pop()
    if check is not None:
        CHECKS.append(None)
    _ACTIVE.check = check
