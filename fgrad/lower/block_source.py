"""A loop over blocks of rows, in which a run of elementwise equations is computed."""

from collections.abc import Callable, Iterator

from fgrad.ir import Eqn, Program, Var
from fgrad.lower.blocks import BLOCK, Run, is_sliced
from fgrad.lower.plan import Plan
from fgrad.lower.results import take_blocks
from fgrad.lower.statements import Statements, fills, fills_in_place
from fgrad.threads import run_parts

DOT = BLOCK // 2  # elements of a product: for more, BLAS starts threads of its own

Line = tuple[str, int, Eqn | None]  # text, depth, and the equation it computes


class BlockWriter:
    """Writes the loop of one run.

    What is needed later is written into its rows of whole arrays; the rest goes into
    arrays of one block, which are used again as soon as nothing reads them.

    Attributes:
        dead: the variables from before the run that nothing uses after it.
    """

    def __init__(
        self, program: Program, plan: Plan, run: Run, statements: Statements
    ) -> None:
        self.plan, self.run, self.statements = plan, run, statements
        self.members = program.eqns[run.start : run.stop]
        self.produced = {eqn.outs[0] for eqn in self.members}
        self.ends = program.eqns[run.stop : run.end]
        later = {a for eqn in program.eqns[run.end :] for a in eqn.ins}
        kept = self.produced & (later | set(program.outs))
        self.outs = [eqn.outs[0] for eqn in self.members if eqn.outs[0] in kept]
        self.dead: list[Var] = []
        self._blocks: dict[str, int] = {}  # how many arrays of a block, by dtype
        self._free: dict[str, list[str]] = {}
        self._held: dict[Var, str] = {}

    def lines(self, buffer_of: Callable[[Var], str | None]) -> Iterator[Line]:
        """All lines, with the whole arrays before the loop: new ones, or those that
        ``buffer_of`` gives.
        """
        run, table = self.run, self.statements.table
        names = dict(table)
        body = list(self._body())
        for var in self.outs:
            whole = f"np.empty({run.shape}, {var.aval.numpy_dtype.name!r})"
            yield f"{names[var]} = {buffer_of(var) or whole}", 1, None
        for eqn in self.ends:
            (out,) = eqn.outs
            shape = (-(-run.shape[0] // run.rows), *out.aval.shape)
            dtype = out.aval.numpy_dtype.name
            yield f"{table[out]}_sums = np.empty({shape}, {dtype!r})", 1, eqn
        bounds, depth = f"0, {run.shape[0]}", 1
        if run.is_shared:
            yield "def part(first, last):", 1, None
            bounds, depth = "first, last", 2
        known = self.statements.globals
        spare: dict[str, str] = {}  # by dtype, the blocks that no call uses
        for dtype, count in self._blocks.items():
            number = sum(key.startswith("spare_blocks_") for key in known.definitions)
            name = f"spare_blocks_{number}"
            known.definitions[name] = [f"{name} = []"]
            known.values["take_blocks"] = take_blocks
            spare[dtype] = name
            shape = (count, run.rows, *run.shape[1:])
            taking = f"{dtype}s_taken = take_blocks({name}, {shape}, {dtype!r})"
            yield f"{dtype}s = {taking}", depth, None
        yield f"for i0 in range({bounds}, {run.rows}):", depth, None
        is_even = not (run.is_shared or run.shape[0] % run.rows)
        stop = f"i0 + {run.rows}"
        end = "last" if run.is_shared else str(run.shape[0])
        yield f"i1 = {stop if is_even else f'min({stop}, {end})'}", depth + 1, None
        if self._blocks and not is_even:
            yield f"if i1 - i0 < {run.rows}:", depth + 1, None
            for dtype in self._blocks:
                shorter = f"{dtype}s = [x[: i1 - i0] for x in {dtype}s]"
                yield shorter, depth + 2, None
        for line, member in body:
            yield line, depth + 1, member
        for dtype, name in spare.items():
            yield f"{name}.append({dtype}s_taken)", depth, None
        if run.is_shared:
            self.statements.globals.values["run_parts"] = run_parts
            yield f"run_parts(part, {run.shape[0]}, {run.rows})", 1, None
        table.update(names)
        for eqn in self.ends:
            name = table[eqn.outs[0]]
            yield f"{name} = np.add.reduce({name}_sums, 0)", 1, eqn

    def _body(self) -> Iterator[tuple[str, Eqn | None]]:
        table = self.statements.table
        everything = (*self.members, *self.ends)
        read = dict.fromkeys(atom for eqn in everything for atom in eqn.ins)
        for atom in [*(a for a in read if a not in self.produced), *self.outs]:
            if is_sliced(atom, self.run.shape):
                name = table[atom]
                table[atom] = f"{name}_rows"
                yield f"{table[atom]} = {name}[i0:i1]", None
        for number, eqn in enumerate(self.members, self.run.start):
            for line in self._equation(number, eqn):
                yield line, eqn
        for number, eqn in enumerate(self.ends, self.run.stop):
            name = table[eqn.outs[0]]
            (line,) = self.statements.lines(eqn)
            value = line.removeprefix(f"{name} = ")
            if eqn.prim.name == "matmul":
                first, second = (table[atom] for atom in eqn.ins)
                value = " + ".join(
                    f"{first}[{part}].dot({second}[{part}])"
                    for part in (f":{DOT}", f"{DOT}:")
                )
            yield f"{name}_sums[i0 // {self.run.rows}] = {value}", eqn
            self.dead += [v for v in self.plan.frees[number] if v not in self.produced]

    def _equation(self, number: int, eqn: Eqn) -> list[str]:
        used_up = list(self.plan.frees[number])
        position = self.plan.in_place.get(number)
        if position is not None:
            overwritten = eqn.ins[position]
            assert type(overwritten) is Var
            used_up.append(overwritten)
        if fills_in_place(eqn):
            self._release(used_up)
        out = eqn.outs[0]
        name = self.statements.table[out]
        if out not in self.outs:
            lines = self.statements.lines(eqn, buffer=self._take(eqn))
            self._release(used_up)
            return lines
        self._release(used_up)
        if fills(eqn):
            (line,) = self.statements.lines(eqn, buffer=name)
            return [line.removeprefix(f"{name} = ")]
        (line,) = self.statements.lines(eqn)
        return [line.replace(f"{name} = ", f"{name}[...] = ", 1)]

    def _release(self, used_up: list[Var]) -> None:
        """Let the blocks of variables that nothing reads any more be used again."""
        while used_up:
            var = used_up.pop()
            if var in self._held:
                self._free.setdefault(_dtype(var), []).append(self._held.pop(var))
            elif var not in self.produced:
                self.dead.append(var)

    def _take(self, eqn: Eqn) -> str | None:
        """An array of one block for the result of an equation that can fill one."""
        out = eqn.outs[0]
        if not fills(eqn) or self.plan.last.get(out, -1) < 0:
            return None
        dtype = _dtype(out)
        if self._free.get(dtype):
            name = self._free[dtype].pop()
        else:
            count = self._blocks.get(dtype, 0)
            self._blocks[dtype] = count + 1
            name = f"{dtype}s[{count}]"
        self._held[out] = name
        return name


def _dtype(var: Var) -> str:
    return str(var.aval.numpy_dtype.name)
