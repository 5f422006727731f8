"""From recorded structure to programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fgrad.ir import PYTHON_AVALS, Atom, Aval, Eqn, Lit, Program, Var, aval_of
from fgrad.passes import dce
from fgrad.primitive import Primitive
from fgrad.trace import Params, Path, Policy, Trace, Tracer, refresh


def _keep_constants(
    prim: Primitive,
    params: Params,
    avals: Sequence[Aval],
    traced: Sequence[bool],
    out_avals: Sequence[Aval],
) -> tuple[int, ...]:
    if all(traced):
        return ()
    return tuple([position for position, is_var in enumerate(traced) if not is_var])


# Records everything, and saves exactly the operands that are constants. TYPES is the
# same for traces without values whose structures are looked up again, JIT for programs
# that are to serve other values.
PROGRAM = Policy(constants=True, keep=_keep_constants)
TYPES = Policy(constants=True, keep=_keep_constants)
JIT = Policy(constants=True, keep=_keep_constants, guards=True)


def nodes_to(path: Path) -> list[Path]:
    """The nodes from the root of the trie to ``path``, root first."""
    nodes: list[Path] = []
    node: Path | None = path
    while node is not None:
        nodes.append(node)
        node = node.parent
    nodes.reverse()
    return nodes


def read_path(
    path: Path, constant: Callable[[Aval], Atom]
) -> tuple[list[Var], list[Eqn], list[Var], list[Atom]]:
    """The inputs, equations and variables of a structure, and what its traces save.

    ``constant`` gives the atom for each operand that is a constant, in order.
    """
    root, *nodes = nodes_to(path)
    variables = [Var(aval) for aval in root.avals]
    ins = list(variables)
    eqns: list[Eqn] = []
    saved: list[Atom] = []
    for node in nodes:
        codes = node.codes
        operands = tuple(
            [variables[c] if type(c) is int else constant(c) for c in codes]
        )
        outs = tuple(map(Var, node.avals))
        variables += outs
        eqns.append(Eqn(node.prim, operands, node.params, outs, node.site))
        if node.keep:
            atoms = operands + outs
            saved += [atoms[position] for position in node.keep]
    return ins, eqns, variables, saved


class _Constants:
    """Atoms for recorded constants: numbers are literals, an array is one variable."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = iter(values)
        self._known: dict[int, Var] = {}
        self.variables: list[Var] = []
        self.values: list[Any] = []

    def next(self, aval: Aval) -> Atom:
        return self.atom(next(self._values))

    def atom(self, value: Any) -> Atom:
        if type(value) in PYTHON_AVALS:
            return Lit(value)
        if id(value) not in self._known:
            aval = value.aval if type(value) is Tracer else aval_of(value)
            self._known[id(value)] = Var(aval)
            self.variables.append(self._known[id(value)])
            self.values.append(value)
        return self._known[id(value)]


def read_program(trace: Trace, path: Path, outs: Sequence[Any]) -> Program:
    """The program of a finished trace under ``PROGRAM``; ``outs`` are its results."""
    constants = _Constants(trace.saved)
    ins, eqns, variables, _ = read_path(path, constants.next)
    atoms = [
        variables[out.index] if is_own(out, trace) else constants.atom(out)
        for out in outs
    ]
    return dce(Program(ins, eqns, atoms, constants.variables, constants.values))


def is_own(value: Any, trace: Trace) -> bool:
    """Whether a value is a tracer of ``trace``; a stale view is brought up to date."""
    return type(value) is Tracer and value.scope is trace


def trace_program(
    function: Callable[..., Sequence[Any]],
    avals: Sequence[Aval],
    values: Sequence[Any] | None = None,
    opaque: bool = False,
) -> Program:
    """The program of a function of flat arguments that returns flat results.

    Without ``values`` the function sees shapes and dtypes only. ``opaque``: calls of
    Python functions are recorded as such, and not what they do.
    """
    avals = tuple(avals)
    root = Path(None, None, (), (), avals, ()) if values is None else None
    trace = Trace(PROGRAM, avals, abstract=values is None, root=root)
    trace.opaque = opaque
    tracers = trace.inputs(values if values is not None else [None] * len(avals))
    outs = trace.run(function, *tracers)
    for out in outs:
        if is_own(out, trace) and out.origin is not None:
            refresh(out)
    return read_program(trace, trace.finish(), outs)
