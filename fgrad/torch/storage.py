"""What tensors that share memory share besides, and who waits for that memory."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.sites import user_site

if TYPE_CHECKING:
    from fgrad.torch.guards import Loan
    from fgrad.torch.runs import Run
    from fgrad.torch.tensor import Tensor

NOT_YET: Any = object()
READERS = 8  # more of them are looked through for those that have ended


class _View(weakref.ref["Tensor"]):
    """A weak reference to a view; tells itself from others by identity."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class Memory:
    """A piece of memory, which several storages may stand for (`Tensor.data`).

    Attributes:
        readers: the runs that it entered, and that may not be computed yet; and what
            nodes read that copy it before it changes.
        is_given: it is that of an array of the user's.
        windows: the arrays through which users see it, as long as they live.
        mirrors: the tensors of it that have a value on another device, too.
    """

    __slots__ = ("is_given", "mirrors", "readers", "windows")

    def __init__(self) -> None:
        self.readers: list[Run | Loan] = []
        self.is_given = False
        self.windows: list[weakref.ref[Any]] = []
        self.mirrors: list[weakref.ref[Tensor]] = []

    @property
    def is_exposed(self) -> bool:
        """Whether NumPy arrays share it, through which it changes without notice."""
        if self.windows:
            self.windows = [window for window in self.windows if window() is not None]
        return self.is_given or bool(self.windows)

    def add_reader(self, run: Run | Loan) -> None:
        """Note a run that reads the memory when it is computed, or a node's loan."""
        readers = self.readers
        if readers and readers[-1] is run:
            return
        if len(readers) > READERS:
            readers[:] = [reader for reader in readers if reader.is_waiting]
        readers.append(run)

    def remove_reader(self, run: Run) -> None:
        """A run was computed."""
        readers = self.readers
        if readers and readers[-1] is run:
            readers.pop()
        elif run in readers:
            readers.remove(run)

    def settle(self) -> None:
        """Have all that reads the memory computed: it is about to change."""
        readers, self.readers = self.readers, []
        for run in readers:
            if run.is_waiting:
                run.settle()

    def forget_mirrors(self) -> None:
        """Let the values here be the only ones: they are about to change."""
        mirrors, self.mirrors = self.mirrors, []
        for reference in mirrors:
            tensor = reference()
            if tensor is not None and "_remote" in tensor.__dict__:
                tensor._array  # noqa: B018  # filled from there, for the last time
                del tensor._remote


class Storage:
    """What tensors that share memory share besides.

    Attributes:
        version: how often an in-place operation changed the memory.
        views: the living views of it (what `detach` gives is none) whose history is
            that of their base.
        writer: the name of the last recorded operation that changed the memory.
        written_at: the user's line that changed it after an operation had saved it;
            NOT_YET after that was saved.
        memory: who waits for it, once somebody did.
        is_inference: it was made in inference mode.
    """

    __slots__ = ("memory", "version", "views", "writer", "written_at")
    is_inference = False

    def __init__(self, memory: Memory | None = None) -> None:
        self.version = 0
        self.views: set[Any] | None = None
        self.writer = ""
        self.written_at: Any = None
        self.memory = memory

    def add_view(self, view: Tensor) -> None:
        """Note a view for as long as it lives."""
        if self.views is None:
            self.views = set()
        self.views.add(_View(view, self.views.discard))

    def changed(self) -> None:
        """Count a change of the memory; a view then has the history of its base."""
        self.version += 1
        if self.written_at is NOT_YET:
            self.written_at = user_site()
        for reference in list(self.views or ()):
            view = reference()
            if view is not None and view._base is not None and view._base._requires:
                if view._retains and view._node is not None:
                    view._node.forget(view)
                view._requires, view._place = True, None
                view._node = view._number = None
                del view._node, view._number  # `Tensor.__getattr__` finds them anew
                self.views.discard(reference)  # type: ignore[union-attr]

    def remember(self) -> Memory:
        """The memory, from now on the same."""
        if self.memory is None:
            self.memory = Memory()
        return self.memory


def writing(tensor: Tensor) -> None:
    """Have computed what waits for the memory of a tensor, which is about to change."""
    memory = tensor._storage.memory
    if memory is not None and (memory.readers or memory.mirrors):
        memory.settle()
        memory.forget_mirrors()


def take_over(tensor: Tensor) -> Tensor:
    """A tensor of an array of the user's, who may change it."""
    tensor._storage.remember().is_given = True
    return tensor


class _Window:
    """What an array is made from that shares the memory of another one.

    All views of such an array refer to it, and not to the array with the memory: so as
    long as it lives, and no longer, a user sees the memory.
    """

    __slots__ = ("__array_interface__", "_array")

    def __init__(self, array: Any) -> None:
        self._array = array
        self.__array_interface__ = array.__array_interface__


def exposed(tensor: Tensor) -> Any:
    """An array for users that shares the memory of a tensor."""
    writing(tensor)
    window = np.asarray(_Window(tensor._array))
    tensor._storage.remember().windows.append(weakref.ref(window))
    return window
