"""What a jitted function does, and why: the text of ``jitted.explain()``."""

from collections import Counter
from collections.abc import Iterator

from fgrad.compiled import Compiled, Signature
from fgrad.ir import Program, Var
from fgrad.lower.blocks import BLOCK, WORK, WORK_FOR_THREADS
from fgrad.lower.buffers import KEPT
from fgrad.lower.numpy import COMPILE_LIMIT
from fgrad.lower.scalars import is_scalar, why_not_scalar
from fgrad.sites import at_site
from fgrad.threads import thread_count


def explain(name: str, signatures: list[Signature]) -> str:
    """The text for all structures of arguments that were traced."""
    if not signatures:
        return f"{name}: nothing traced yet"
    lines: list[str] = []
    for signature in signatures:
        arguments = zip(
            signature.arguments.expressions(),
            signature.paths[0].program.ins,
            strict=True,
        )
        types = ", ".join(f"{text}: {var.aval}" for text, var in arguments)
        lines.append(f"{name}({types})")
        for number, path in enumerate(signature.paths):
            lines += [f"  {line}" for line in _path(number, path, signature)]
    return "\n".join(lines)


def _path(number: int, path: Compiled, signature: Signature) -> Iterator[str]:
    program = path.program
    yield f"path {number}: {len(program.eqns)} equations, {path.traced} as traced"
    for part in (_specialised(path, signature), _form(path), _memory(path)):
        for line in part:
            yield f"  {line}"


def _specialised(path: Compiled, signature: Signature) -> Iterator[str]:
    for eqn in path.program.eqns:
        if eqn.prim.name != "guard":
            continue
        params = dict(eqn.params)
        shown = params["expected"] if params["kind"] != "array" else "these elements"
        place = at_site(eqn.site)
        others = [
            f"path {signature.paths.index(other)} for "
            f"{'other elements' if params['kind'] == 'array' else outcome[2]}"
            for outcome, other in path.others.items()
            if outcome[0] == params["number"] and other in signature.paths
        ]
        rest = ", ".join(others) or "another value traces another path"
        yield f"specialised: {params['kind']} is {shown}{place}; {rest}"
    if path.is_quiet:
        yield "quiet: derivatives and selects run without floating-point warnings"


def _form(path: Compiled) -> Iterator[str]:
    program = path.layout.program
    if len(program.eqns) > COMPILE_LIMIT:
        yield f"interpreted: more than {COMPILE_LIMIT} equations"
    elif is_scalar(program):
        yield "scalar: Python floats, since all values are numbers"
    elif reason := why_not_scalar(program):
        yield f"not scalar: {reason}"
    for run in path.layout.runs:
        length = run.stop - run.start
        threads = "one thread: less work than a second one is worth"
        if run.is_shared:
            threads = f"up to {thread_count()} threads"
        yield (
            f"fused: {length} elementwise equations and {run.ends} sums on {run.shape} "
            f"in blocks of {run.rows} rows (about {BLOCK} elements, which fit a "
            f"cache), {threads}"
        )
    large = _elementwise_outside(path)
    if large:
        yield (
            f"not fused: {large} elementwise equations on large arrays; blocks begin "
            f"at {WORK} elements times equations in a row, threads at "
            f"{WORK_FOR_THREADS}"
        )


def _elementwise_outside(path: Compiled) -> int:
    inside = {k for run in path.layout.runs for k in range(run.start, run.stop)}
    return sum(
        eqn.prim.elementwise and eqn.outs[0].aval.size >= KEPT
        for k, eqn in enumerate(path.layout.program.eqns)
        if k not in inside
    )


def _memory(path: Compiled) -> Iterator[str]:
    layout = path.layout
    program, plan = layout.program, layout.plan
    if plan.in_place:
        names = Counter(program.eqns[k].prim.name for k in plan.in_place)
        text = ", ".join(f"{count} {name}" for name, count in names.most_common())
        yield f"reused: {len(plan.in_place)} results overwrite an operand ({text})"
    buffers = layout.buffers
    if buffers.avals:
        yield (
            f"kept: {len(buffers.of)} results go into {len(buffers.avals)} arrays that "
            f"are kept between calls ({buffers.nbytes / 1e6:.3g} MB); results of fewer "
            f"than {KEPT} elements are made anew, which is as quick"
        )
    for position in sorted(plan.copies):
        yield f"copied: result {position}, which shares memory with something else"
    size = sum(_nbytes(var) for var in program.consts)
    if program.consts:
        yield f"closed over: {len(program.consts)} arrays, {size / 1e6:.3g} MB, frozen"
    donated = [program.ins[k] for k in path.signature.donated]
    if donated:
        used = sum(_is_overwritten(program, plan.in_place, var) for var in donated)
        guarded = any(eqn.prim.name == "guard" for eqn in program.eqns)
        why = ": a guard may need them for another path" if guarded else ""
        yield f"donated: {used} of {len(donated)} arguments are overwritten{why}"


def _nbytes(var: Var) -> int:
    return int(var.aval.size * var.aval.numpy_dtype.itemsize)


def _is_overwritten(program: Program, in_place: dict[int, int], var: Var) -> bool:
    return any(program.eqns[k].ins[at] is var for k, at in in_place.items())
