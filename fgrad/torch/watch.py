"""What is asked for each recorded operation: is anything to be noted of it?

One global flag says whether an anomaly mode is on, or hooks for saved tensors are set
in some thread; so recording asks for one attribute where nothing is.
"""

from __future__ import annotations

import threading
from typing import Any

from fgrad.torch.modes import STATE


class _Watch:
    """The state of the whole process.

    Attributes:
        active: something is to be done for each operation that is recorded.
        anomaly: the anomaly mode is on; ``check_nan``: it looks for NaN in gradients.
        forward: results of operations are checked, too.
        infinite: they are checked for infinities as well.
        savers: how many hooks for saved tensors are set, in all threads.
    """

    def __init__(self) -> None:
        self.active = False
        self.anomaly = False
        self.check_nan = True
        self.forward = False
        self.infinite = False
        self.savers = 0
        self.lock = threading.Lock()

    def update(self) -> None:
        """Bring ``active`` up to date; what was recorded before is computed first."""
        if STATE.run is not None:
            STATE.run.settle()
        self.active = self.anomaly or self.savers > 0


class _Local(threading.local):
    """The state of a thread.

    Attributes:
        node: the node that `backward` runs, while an anomaly mode is on.
        passing: the pass whose hooks run, which knows what it reaches.
        savers: the hooks for saved tensors, innermost last: pairs of functions.
        refusal: why hooks for saved tensors may not be set, or None.
    """

    def __init__(self) -> None:
        self.node: Any = None
        self.passing: Any = None
        self.savers: list[tuple[Any, Any]] = []
        self.refusal: str | None = None


WATCH = _Watch()
LOCAL = _Local()
