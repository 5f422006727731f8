"""Parts of a loop on several threads: NumPy's loops release the interpreter lock.

The number of threads is the environment's ``FGRAD_NUM_THREADS``, else the number of
cores that the process may use.
"""

import contextvars
import functools
import importlib
import os
from collections.abc import Callable
from typing import Any


@functools.cache
def thread_count() -> int:
    """How many threads take part in a loop.

    Raises:
        ValueError: ``FGRAD_NUM_THREADS`` is no positive integer.
    """
    given = os.environ.get("FGRAD_NUM_THREADS")
    if given is None:
        allowed = getattr(os, "sched_getaffinity", None)  # not on every system
        return len(allowed(0)) if allowed else os.cpu_count() or 1
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"FGRAD_NUM_THREADS={given!r} is no positive integer")
    return int(given)


@functools.cache
def _pool() -> Any:
    futures = importlib.import_module("concurrent.futures")  # costs 9 ms: on first use
    return futures.ThreadPoolExecutor(thread_count() - 1, thread_name_prefix="fgrad")


if hasattr(os, "register_at_fork"):  # the threads of a pool do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)


def run_parts(part: Callable[[int, int], None], total: int, step: int) -> None:
    """Call ``part(first, last)`` for parts of ``range(total)``, one for each thread.

    Parts begin at multiples of ``step``. The caller's thread takes the first one; the
    others run in its context, so that NumPy's error handling is the same.
    """
    blocks = -(-total // step)
    share = -(-blocks // thread_count()) * step
    others = [
        _pool().submit(
            contextvars.copy_context().run, part, first, min(first + share, total)
        )
        for first in range(share, total, share)
    ]
    part(0, min(share, total))
    for other in others:
        other.result()
