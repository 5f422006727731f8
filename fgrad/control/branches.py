"""``cond`` and ``switch``: one of several bodies runs.

Operands are the number of the branch and what the branches read, which is the same list
for all. Derivatives are branches that compute what they need anew, so that no branch
keeps residuals for another. Where elements of a batch take different branches, all run
and the results are selected.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.caches import remembered
from fgrad.control.closing import Closed, apart, as_value, close, known_value, typed
from fgrad.control.derivatives import joint_pullback, joint_tangents, lifted
from fgrad.control.executing import runner, selects
from fgrad.control.running import run_branch
from fgrad.control.scan_derivatives import zeros_like
from fgrad.errors import CarryTypeError
from fgrad.ir import Atom, Aval, Eqn, Program, Var, evaluate
from fgrad.ops.batching import aligned
from fgrad.ops.logic import is_less_equal
from fgrad.ops.select import where
from fgrad.ops.structure import astype
from fgrad.passes import dce, reads_of
from fgrad.primitive import Body, Feed, Primitive, Sample, Unmapped
from fgrad.text import parse
from fgrad.transforms.jvp import Flags
from fgrad.transforms.vmap import batched

Branches = tuple[Program, ...]


def cond(
    pred: Any,
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    *operands: Any,
) -> Any:
    """``true_fun(*operands) if pred else false_fun(*operands)``, where pred is traced.

    Python's own ``if`` does where the value of ``pred`` is known. Under `vmap` and in
    the bodies of loops it is not; there both functions are traced, and one is run. For
    a ``pred`` that differs between elements of a batch both run.

    Args:
        pred: one boolean or number.
        true_fun, false_fun: functions of the operands whose results have the same
            structure, shapes and dtypes.
        operands: arrays or nested containers of them.

    Raises:
        CarryTypeError: the results differ in structure, a shape or a dtype, or ``pred``
            is not one boolean or number.

    >>> import numpy as np, fgrad
    >>> f = lambda x: fgrad.cond(x > 0, np.sqrt, np.exp, x)
    >>> fgrad.vmap(fgrad.grad(f))(np.array([4.0, 0.0]))
    array([0.25, 1.  ])
    """
    value = as_value(pred)
    if value.shape != ():
        raise CarryTypeError(
            f"cond branches on one boolean, got shape {value.shape}; reduce it "
            "(np.any, np.all), select with np.where, or map with fgrad.vmap"
        )
    return _select("cond", value != 0, (false_fun, true_fun), operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """``branches[index](*operands)``, where the index may be traced.

    Args:
        index: one integer; it is clipped to the range of the branches.
        branches: functions of the operands whose results have the same structure,
            shapes and dtypes.
        operands: arrays or nested containers of them.

    Raises:
        CarryTypeError: the results differ in structure, a shape or a dtype, or
            ``index`` is not one integer.

    >>> import numpy as np, fgrad
    >>> fgrad.switch(1, [np.sin, np.cos], 0.0)
    np.float64(1.0)
    """
    if not branches:
        raise CarryTypeError("switch needs at least one branch")
    value = as_value(index)
    if value.shape != () or value.dtype.kind not in "iu":
        raise CarryTypeError(
            f"switch takes one integer as index, got {value.dtype} of shape "
            f"{value.shape}"
        )
    return _select("switch", value, branches, operands)


def _select(
    name: str, index: Any, functions: Sequence[Callable[..., Any]], operands: Any
) -> Any:
    leaves, treedef = tree.flatten(operands)
    values = [as_value(leaf) for leaf in leaves]
    avals = [Aval(x.shape, x.dtype) for x in values]

    def body_of(function: Callable[..., Any]) -> Callable[[list[Any]], Any]:
        return lambda elements: function(*tree.unflatten(treedef, elements))

    closed = [close(body_of(function), avals) for function in functions]
    out_tree = _common_tree(name, closed)
    programs = _unified(name, tuple(body.program for body in closed), out_tree)
    number = known_value(index)
    if number is not None:
        chosen = min(max(int(number), 0), len(programs) - 1)
        arguments = [*closed[chosen].operands, *values]
        outs = evaluate(programs[chosen], arguments)
        return tree.unflatten(out_tree, apart(outs))
    counts = tuple(len(body.operands) for body in closed)
    own = [x for body in closed for x in body.operands]
    branches = common_inputs(programs, counts)
    return tree.unflatten(out_tree, cond_(index, *own, *values, branches=branches))


def _common_tree(name: str, closed: Sequence[Closed]) -> tree.TreeDef:
    first = closed[0].treedef
    for number, body in enumerate(closed):
        if body.treedef != first:
            raise CarryTypeError(
                f"the branches of {name} return different structures: "
                f"{_branch(name, 0)} {first}, {_branch(name, number)} {body.treedef}"
            )
    return first


def _branch(name: str, number: int) -> str:
    named = ("false_fun", "true_fun")
    return named[number] if name == "cond" else f"branch {number}"


@remembered(1024)
def _unified(name: str, programs: Branches, out_tree: tree.TreeDef) -> Branches:
    """The programs with Python numbers among the results cast to the others' types."""
    targets = []
    for position in range(len(programs[0].outs)):
        avals = [program.outs[position].aval for program in programs]
        fixed = [a for a in avals if not a.is_python]
        number = [a.dtype for a in avals if a.is_python]
        target = fixed[0] if fixed else Aval((), np.result_type(*number))
        for k, aval in enumerate(avals):
            is_number = aval.is_python and target.shape == ()
            fits = np.result_type(aval.dtype, target.dtype) == target.dtype
            if aval is not target and not (is_number and fits):
                path = tree.paths(tree.unflatten(out_tree, range(out_tree.num_leaves)))
                other = avals.index(target) if target in avals else 0
                raise CarryTypeError(
                    f"the branches of {name} return different types at result"
                    f"{path[position]}: {_branch(name, other)} {target}, "
                    f"{_branch(name, k)} {aval}; convert one (astype, np.broadcast_to)"
                )
        targets.append(target)
    return tuple(_cast(program, targets) for program in programs)


def _cast(program: Program, targets: Sequence[Aval]) -> Program:
    eqns, outs = list(program.eqns), []
    for atom, target in zip(program.outs, targets, strict=True):
        if atom.aval is target:
            outs.append(atom)
            continue
        params = (("dtype", target.numpy_dtype.name),)
        eqns.append(Eqn(astype, (atom,), params, (Var(target),)))
        outs.append(eqns[-1].outs[0])
    return Program(program.ins, eqns, outs)


@remembered(1024)
def common_inputs(programs: Branches, counts: tuple[int, ...]) -> Branches:
    """Programs whose first ``counts`` inputs are their own as programs of the same
    inputs: those that are the first's own, the second's, ..., and those they share.
    """
    owned = [p.ins[:count] for p, count in zip(programs, counts, strict=True)]
    merged = []
    for number, program in enumerate(programs):
        ins = [
            var if k == number else Var(var.aval)
            for k, own in enumerate(owned)
            for var in own
        ]
        shared = program.ins[counts[number] :]
        merged.append(Program([*ins, *shared], program.eqns, program.outs))
    return tuple(merged)


def _cond_runs(*, branches: Branches) -> tuple[Any, dict[str, Any]]:
    bodies = tuple(map(Body, branches))
    return run_branch, {"branches": bodies, "quiet": tuple(map(selects, branches))}


def _cond_jax(xla: Any, index: Any, *operands: Any, branches: Branches) -> Any:
    runs = [lambda *xs, body=body: xla.run(body, xs) for body in branches]
    number = xla.np.clip(xla.cast(index, np.int64), 0, len(branches) - 1)
    return xla.lax.switch(number.astype(np.int32), runs, *operands)


def _cond_aval(index: Aval, *operands: Aval, branches: Branches) -> tuple[Aval, ...]:
    for branch in branches:
        if tuple(var.aval for var in branch.ins) != operands:
            raise ValueError("the operands do not have the types of a branch's inputs")
    return tuple(typed(atom.aval) for atom in branches[0].outs)


# --- derivatives


def _bind_derived(
    index: Any, operands: Sequence[Any], programs: Sequence[Program]
) -> Any:
    """Branches that may have constants of their own."""
    pairs = [lifted(program) for program in programs]
    counts = tuple(len(values) for _, values in pairs)
    own = [value for _, values in pairs for value in values]
    branches = common_inputs(tuple(program for program, _ in pairs), counts)
    everything = [*own, *operands]
    kept = _read_by_any(branches)
    smaller = tuple(Program([b.ins[k] for k in kept], b.eqns, b.outs) for b in branches)
    return cond_(index, *(everything[k] for k in kept), branches=smaller)


def _read_by_any(branches: Sequence[Program]) -> list[int]:
    """The positions of the inputs that some branch reads."""
    live: set[int] = set()
    for branch in branches:
        read = reads_of(branch)
        live |= {k for k, var in enumerate(branch.ins) if var in read}
    return sorted(live)


def _padded(program: Program, flags: Flags, wanted: Flags, like: Any) -> Program:
    """The program with zeros for the outputs that are wanted and not given."""
    outs: list[Atom] = []
    eqns = list(program.eqns)
    given = iter(program.outs)
    for flag, is_wanted, aval in zip(flags, wanted, like, strict=True):
        out = next(given) if flag else None
        if out is None and is_wanted:
            eqns.append(zeros_like(aval))
            out = eqns[-1].outs[0]
        if out is not None:
            outs.append(out)
    return Program(program.ins, eqns, outs, program.consts, program.values)


def _union(rows: Sequence[Flags]) -> Flags:
    return tuple(map(any, zip(*rows, strict=True)))


def _cond_jvp(
    tangents: Sequence[Any],
    outs: Sequence[Any],
    index: Any,
    *operands: Any,
    branches: Branches,
) -> list[Any]:
    active = tuple(t is not None for t in tangents[1:])
    pairs = [joint_tangents(branch, active) for branch in branches]
    varying = _union([flags for _, flags in pairs])
    avals = [atom.aval for atom in branches[0].outs]
    programs = [_padded(*pair, varying, avals) for pair in pairs]
    given = [t for t in tangents[1:] if t is not None]
    results = iter(_bind_derived(index, [*operands, *given], programs))
    return [next(results) if varies else None for varies in varying]


def _cond_vjp(
    cts: Sequence[Any],
    outs: Sequence[Any],
    index: Any,
    *operands: Any,
    active: Flags,
    present: Flags,
    branches: Branches,
) -> list[Any]:
    active = active[1:]
    pairs = [joint_pullback(branch, active, present) for branch in branches]
    given = _union([flags for _, flags in pairs])
    avals = [
        var.aval for var, flag in zip(branches[0].ins, active, strict=True) if flag
    ]
    programs = [_padded(*pair, given, avals) for pair in pairs]
    results = iter(_bind_derived(index, [*operands, *cts], programs))
    by_active = iter([next(results) if is_given else None for is_given in given])
    return [None, *(next(by_active) if flag else None for flag in active)]


# --- batches, and what is left out


def _cond_batch(
    size: int, mapped: Flags, index: Any, *operands: Any, branches: Branches
) -> list[Any]:
    if mapped[0]:
        return _select_batch(size, mapped, index, operands, branches)
    flags = tuple(mapped[1:])
    found = _union([batched(branch, size, flags)[1] for branch in branches])
    programs = tuple(batched(branch, size, flags, found)[0] for branch in branches)
    outs = _bind_derived(index, operands, programs)
    return [
        out if is_mapped else Unmapped(out)
        for out, is_mapped in zip(outs, found, strict=True)
    ]


def _select_batch(
    size: int, mapped: Flags, index: Any, operands: Any, branches: Branches
) -> list[Any]:
    flags = tuple(mapped[1:])
    wanted = (True,) * len(branches[0].outs)
    programs = [batched(branch, size, flags, wanted)[0] for branch in branches]
    with np.errstate(all="ignore"):  # elements run branches that they do not take
        rows = [evaluate(program, operands) for program in programs]
    outs = rows.pop()
    for number, row in reversed(list(enumerate(rows))):
        is_taken = is_less_equal(index, number)  # or one before, which comes last
        outs = [
            where(*aligned((True,) * 3, (is_taken, new, old)))
            for new, old in zip(row, outs, strict=True)
        ]
    return outs


def _cond_prune(
    used: Flags, avals: Sequence[Aval], *, branches: Branches
) -> tuple[list[int], list[int], dict[str, Any]]:
    kept = [k for k, is_used in enumerate(used) if is_used]
    pruned = [dce(Program(b.ins, b.eqns, [b.outs[k] for k in kept])) for b in branches]
    ins = _read_by_any(pruned)
    programs = tuple(Program([b.ins[k] for k in ins], b.eqns, b.outs) for b in pruned)
    return [0, *(k + 1 for k in ins)], kept, {"branches": programs}


_SAMPLE_BRANCHES = (
    "{ lambda ; x:f64[3] y:f64[] . let a:f64[3] = multiply x y in (a,) }",
    "{ lambda ; x:f64[3] y:f64[] . let a:f64[3] = sin x in (a,) }",
)


def _cond_samples() -> list[Sample]:
    branches = tuple(map(parse, _SAMPLE_BRANCHES))
    operands = (np.array([0.1, 0.2, -0.3]), np.float64(0.7))
    return [Sample((np.int64(k), *operands), {"branches": branches}) for k in (0, 1)]


cond_: Primitive = Primitive(
    "cond",
    runner(_cond_runs),
    _cond_aval,
    jvp=_cond_jvp,
    vjp=_cond_vjp,
    prune=_cond_prune,
    feeds=lambda count, branches: [Feed(range(1, count), "branches")],
    runs=_cond_runs,
    multiple=True,
    batch=_cond_batch,
    jax=_cond_jax,
    samples=_cond_samples,
)
