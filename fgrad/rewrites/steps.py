"""Rules for loops that are unrolled: products of all steps as one product.

The gradient of a weight is a sum of one product for each step, ``x1.T @ g1 + x2.T @ g2
+ ...``. It is the product of the x and the g of all steps, each joined into one array.
The same holds for products of the slices of one array with one matrix. Terms are added
in another order, so results agree to rounding, as those of `sums`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from fgrad.ir import Atom, Eqn, Lit, Program, Var
from fgrad.rewrites.facts import Facts, apply, is_blas

STEPS = 4  # fewer are no gain
ROWS = 16  # rows of a step up to which joining pays: with more, BLAS does as well
LARGEST = 1 << 22  # elements of a joined array
SHARE = 2  # of a sliced array at least one in so many slices is multiplied


class _Term(NamedTuple):
    """The product ``x.T @ g``, of rows or, without a first axis, of vectors."""

    x: Atom
    g: Atom


def joined_steps(program: Program, facts: Facts, guarded: set[Atom]) -> Sequence[Eqn]:
    """The equations with products of steps joined; those themselves if there is none.

    What is in ``guarded`` stays as it is.
    """
    count = sum(eqn.prim.name in ("matmul", "multiply") for eqn in program.eqns)
    if count < STEPS:
        return program.eqns
    return _Joiner(program, facts, guarded).joined()


class _Joiner:
    def __init__(self, program: Program, facts: Facts, guarded: set[Atom]) -> None:
        self.facts, self.guarded = facts, guarded
        self.old = program.eqns
        self.eqns: list[Eqn] = []
        self.numbers: dict[Atom, int] = {}
        self.source: dict[Atom, Eqn] = {}
        self._known: dict[Any, Var] = {}
        for number, eqn in enumerate(self.old):
            for var in eqn.outs:
                self.numbers[var] = number
                self.source[var] = eqn

    def joined(self) -> Sequence[Eqn]:
        groups = Counter(key for eqn in self.old if (key := self._slices(eqn)))
        pays = {key for key, count in groups.items() if _is_share(key[0], count)}
        chains = self._chains()
        sums = {root: self._terms(leaves) for root, leaves in chains.items()}
        joins = {frozenset(t.g for t in terms) for terms in sums.values() if terms}
        if not pays and not joins:
            return self.old
        for eqn in self.old:
            terms = sums.get(eqn.outs[0]) if eqn.outs else None
            if pays and self._slices(eqn) in pays:
                self._read_product(eqn)
            elif terms:
                self._write_sum(eqn, terms, chains[eqn.outs[0]])
            elif not eqn.outs or not self._is_sum_of(eqn, chains, joins):
                self.eqns.append(eqn)
        return self.eqns

    def _add(self, name: str, ins: tuple[Atom, ...], site: Any, **params: Any) -> Var:
        """A new equation, or the output of an equal one that there is."""
        key = name, ins, tuple(params.items())
        if key not in self._known:
            self._known[key], eqn = apply(name, ins, site, **params)
            self.eqns.append(eqn)
        return self._known[key]

    # --- products of slices

    def _slice(self, atom: Atom) -> tuple[Atom, int] | None:
        """The array and the number of which an atom is a slice, ``x[3]``."""
        eqn = self.source.get(atom)
        if eqn is None or eqn.prim.name != "index" or len(eqn.ins) != 2:
            return None
        number = eqn.ins[1]
        is_number = type(number) is Lit and type(number.value) is int
        if eqn.params != (("at", ("$",)),) or not is_number:
            return None
        x, found = eqn.ins[0], number.value  # type: ignore[union-attr] # a literal
        return x, found % x.aval.shape[0]

    def _slices(self, eqn: Eqn) -> tuple[Atom, Atom] | None:
        """For the product of a slice and a matrix: the array and the matrix."""
        if eqn.prim.name != "matmul" or eqn.outs[0] in self.guarded:
            return None
        first, second = eqn.ins
        found = self._slice(first)
        if found is None or second.aval.ndim != 2 or first.aval.ndim > 2:
            return None
        is_short = first.aval.ndim == 1 or first.aval.shape[0] <= ROWS
        if not is_short or not is_blas(first.aval, second.aval):
            return None
        return found[0], second

    def _read_product(self, eqn: Eqn) -> None:
        """A slice of the product of the whole array."""
        first, matrix = eqn.ins
        found = self._slice(first)
        assert found is not None
        x, number = found
        shape = x.aval.shape
        rows = x
        if len(shape) > 2:
            flat = (shape[0] * shape[1], shape[2])
            rows = self._add("reshape", (x,), eqn.site, shape=flat)
        product = self._add("matmul", (rows, matrix), eqn.site)
        if len(shape) > 2:
            whole = (*shape[:2], matrix.aval.shape[1])
            product = self._add("reshape", (product,), eqn.site, shape=whole)
        _, read = apply("index", (product, Lit(number)), eqn.site, at=("$",))
        self.eqns.append(Eqn(read.prim, read.ins, read.params, eqn.outs, eqn.site))

    # --- sums of products

    def _chains(self) -> dict[Atom, list[Atom]]:
        """For each sum of many arrays of one type, these."""
        parts: dict[Atom, tuple[Atom, ...]] = {}
        inner: set[Atom] = set()
        for eqn in self.old:
            if eqn.prim.name != "add" or eqn.outs[0] in self.guarded:
                continue
            aval = eqn.outs[0].aval
            if not 1 <= aval.ndim <= 2 or any(x.aval is not aval for x in eqn.ins):
                continue
            parts[eqn.outs[0]] = eqn.ins
            inner.update(x for x in eqn.ins if x in parts and self.facts.uses[x] == 1)
        chains = {}
        for root in parts:
            if root in inner:
                continue
            leaves, pending = [], [root]
            while pending:
                atom = pending.pop()
                if atom is root or atom in inner:
                    pending += parts[atom]
                else:
                    leaves.append(atom)
            if len(leaves) >= STEPS:
                chains[root] = leaves
        return chains

    def _terms(self, leaves: list[Atom]) -> list[_Term]:
        """The products among the terms of a sum, last step first; none if few."""
        found = [term for term in map(self._term, leaves) if term]
        kinds = Counter((t.x.aval, t.g.aval) for t in found)
        if not kinds:
            return []
        kind, count = kinds.most_common(1)[0]
        x, g = kind
        rows = x.size // x.shape[-1]
        is_large = count * max(x.size, g.size) > LARGEST
        is_thin = x.size + g.size > 2 * x.shape[-1] * g.shape[-1]
        if count < STEPS or rows > ROWS or is_large or is_thin:
            return []
        terms = [t for t in found if (t.x.aval, t.g.aval) == kind]
        return sorted(terms, key=lambda t: -self.numbers.get(t.g, -1))

    def _term(self, atom: Atom) -> _Term | None:
        eqn = self.source.get(atom)
        if eqn is None or self.facts.uses[atom] > 1 or len(eqn.ins) != 2:
            return None
        first = self.source.get(eqn.ins[0])
        x, g = eqn.ins
        if first is None or not is_blas(x.aval, g.aval):
            return None
        if eqn.prim.name == "matmul" and first.prim.name == "transpose":
            is_matrices = x.aval.ndim == g.aval.ndim == 2
            return _Term(first.ins[0], g) if is_matrices else None
        if eqn.prim.name != "multiply" or first.prim.name != "reshape":
            return None
        column, vector = x.aval.shape, first.ins[0]
        row = self.source.get(g)
        if row is not None and row.prim.name == "reshape" and g.aval.shape[0] == 1:
            g = row.ins[0]
        if vector.aval.ndim != 1 or g.aval.ndim != 1 or x is eqn.ins[1]:
            return None
        return _Term(vector, g) if column == (*vector.aval.shape, 1) else None

    def _write_sum(self, eqn: Eqn, terms: list[_Term], leaves: list[Atom]) -> None:
        """The product of all steps, and what else the sum has."""
        x = self._joined([t.x for t in terms], eqn.site)
        g = self._joined([t.g for t in terms], eqn.site)
        turned = self._add("transpose", (x,), eqn.site, axes=(1, 0))
        total: Var = self._add("matmul", (turned, g), eqn.site)
        rest = Counter(leaves)
        for leaf in leaves:
            if (term := self._term(leaf)) and term in terms:
                del rest[leaf]
        for leaf in rest.elements():
            total, add = apply("add", (total, leaf), eqn.site)
            self.eqns.append(add)
        last = self.eqns.pop()
        self.eqns.append(Eqn(last.prim, last.ins, last.params, eqn.outs, last.site))

    def _joined(self, parts: list[Atom], site: Any) -> Var:
        """The rows of all parts in one array: part of one that they are slices of."""
        aval = parts[0].aval
        width = aval.shape[-1]
        flat = (len(parts) * aval.size // width, width)
        slices = [self._slice(part) for part in parts]
        if all(s is not None and s[0] is slices[0][0] for s in slices):  # type: ignore[index] # tested just before
            numbers = [s[1] for s in slices if s is not None]
            start, stop = numbers[0], numbers[-1] + 1
            if numbers == list(range(start, stop)):
                x: Atom = slices[0][0]  # type: ignore[index] # as before
                if stop - start != x.aval.shape[0]:
                    at = ((start, stop, None),)
                    x = self._add("index", (x,), site, at=at)
                return self._add("reshape", (x,), site, shape=flat)
        if aval.ndim == 1:
            shape = (1, width)
            parts = [self._add("reshape", (x,), site, shape=shape) for x in parts]
        return self._add("concatenate", tuple(parts), site, axis=0)

    # --- sums of what is joined anyway

    def _is_sum_of(
        self,
        eqn: Eqn,
        chains: dict[Atom, list[Atom]],
        joins: set[frozenset[Atom]],
    ) -> bool:
        """Write the sum of rows of what is joined for a product: the gradient of a bias
        beside that of a weight.
        """
        is_rows = eqn.prim.name == "sum" and eqn.params == (("axis", (0,)),)
        root = eqn.ins[0] if is_rows else eqn.outs[0]
        leaves = chains.get(root)
        if leaves is None or eqn.outs[0] in self.guarded:
            return False
        rank = leaves[0].aval.ndim
        if frozenset(leaves) not in joins or len(set(leaves)) < len(leaves):
            return False
        if rank != (2 if is_rows else 1) or (is_rows and self.facts.uses[root] > 1):
            return False
        ordered = sorted(leaves, key=lambda g: -self.numbers.get(g, -1))
        g = self._joined(ordered, eqn.site)
        ones = self.facts.ones(g.aval.shape[0], g.aval.numpy_dtype)
        _, dot = apply("matmul", (ones, g), eqn.site)
        self.eqns.append(Eqn(dot.prim, dot.ins, dot.params, eqn.outs, eqn.site))
        return True


def _is_share(x: Atom, count: int) -> bool:
    return count >= STEPS and count * SHARE >= x.aval.shape[0]
