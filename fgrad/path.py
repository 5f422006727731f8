"""The trie of structures: what traces record into, and where caches hang.

A node stands for a recorded structure, from the root (the types of the inputs) to its
last equation. Where a structure was seen before, recording an operation is one dict
look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fgrad.caches import forgotten_by
from fgrad.errors import LeakedTracerError
from fgrad.ir import Aval
from fgrad.primitive import Primitive
from fgrad.sites import Site, user_site

TRIE_LIMIT = 400_000  # nodes; past it all structures are forgotten and learnt again

Params = tuple[tuple[str, Any], ...]
UNKNOWN: Any = object()


class Path:
    """A node of the trie: the structure recorded so far, ending in one equation.

    Variables are numbered in order of binding, inputs first. `codes` holds, for each
    operand, its number, or its aval where it is a constant. `keep` holds the positions
    (operands first, then outputs) whose values the trace must save. `ends` is the cache
    of what transforms derived from the structure that ends here; `step` is the step of
    the view that the equation makes, where it is the same in every run. `run` evaluates
    the primitive on NumPy values of these types.
    """

    __slots__ = (
        "aval",
        "avals",
        "children",
        "codes",
        "count",
        "ends",
        "index",
        "keep",
        "params",
        "parent",
        "prim",
        "run",
        "site",
        "step",
    )

    def __init__(
        self,
        parent: Path | None,
        prim: Primitive | None,
        params: Params,
        codes: tuple[Any, ...],
        avals: tuple[Aval, ...],
        keep: tuple[int, ...],
    ) -> None:
        self.parent = parent
        self.prim = prim
        self.params = params
        self.codes = codes
        self.avals = avals
        self.aval: Any = avals[0] if avals else None
        self.keep = keep
        self.index: int = 0 if parent is None else parent.count
        self.count: int = self.index + len(avals)
        self.children: dict[Any, Path] = {}
        self.ends: dict[Any, Any] = {}
        self.step: Any = UNKNOWN
        self.run: Any = None if prim is None else prim.evaluate
        self.site: Site | None = None if parent is None else user_site()


class _Finished:
    """Stands in for the path of a trace that has ended."""

    @property
    def children(self) -> dict[Any, Path]:
        raise LeakedTracerError(
            "a traced value was used after the function that was being differentiated "
            "had returned; return it instead (has_aux=True for values that are not to "
            "be differentiated)"
        )


FINISHED: Any = _Finished()


class Policy:
    """What a kind of trace records and saves.

    Attributes:
        constants: whether operations whose results do not vary are recorded, too.
        differentiates: whether what follows from the record is its derivatives.
        guards: whether the record is to serve other values, so that it must say where
            Python saw one.
        keep: ``keep(prim, params, operand_avals, traced, out_avals)``: the positions
            (operands first, then outputs) whose values are saved.
    """

    def __init__(
        self,
        constants: bool,
        keep: Callable[..., tuple[int, ...]],
        differentiates: bool = False,
        guards: bool = False,
    ) -> None:
        self.constants = constants
        self.keep = keep
        self.differentiates = differentiates
        self.guards = guards

    def tracks(self, prim: Primitive, out_avals: Sequence[Aval]) -> bool:
        """Whether an operation with these outputs is recorded."""
        if self.constants:
            return True
        return not prim.is_constant and any(aval.is_inexact for aval in out_avals)


class _Trie:
    """The roots of the trie, for each policy and types of inputs."""

    def __init__(self) -> None:
        self.roots: dict[Any, Path] = {}
        self.size = 0

    def root(self, policy: Policy, avals: tuple[Aval, ...]) -> Path:
        key = (policy, avals)
        found = self.roots.get(key)
        if found is not None:
            return found
        root = Path(None, None, (), (), avals, ())
        return self.roots.setdefault(key, root)

    def grow(self) -> None:
        self.size += 1
        if self.size > TRIE_LIMIT:
            self.clear()

    def clear(self) -> None:
        self.roots = {}
        self.size = 0


TRIE = _Trie()
forgotten_by(TRIE.clear)
