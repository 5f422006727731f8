"""Derived programs for all unit vectors at once: their seeds are no dense matrices.

The unit vectors of a space are the rows of an identity matrix. A matrix that has values
on few diagonals only is kept as the vectors of these (`Band`) while the equations allow
it: products with vectors, signs, slices, sums. The product with a dense matrix is then
a scaling of its rows. What is off the diagonals is zero and never computed, so that it
stays zero where the other factor is not finite.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from fgrad.ir import Atom, Eqn, Lit, Program, Var
from fgrad.passes import cse, dce
from fgrad.rewrites.facts import WHOLE, apply
from fgrad.simplification import simplify

MOST = 8  # bands of a matrix; more are written out
DIAGONAL = ("diagonal", (("subscripts", "aa->a"),))
UNARY = frozenset({"negative", "astype", "copy", "conjugate", "real", "imag"})


class Band(NamedTuple):
    """The elements ``[row + k, column + k]`` of a matrix, for k below a length."""

    row: int
    column: int
    values: Atom

    @property
    def length(self) -> int:
        return self.values.aval.shape[0]


Bands = tuple[Band, ...]


def with_unit_seeds(program: Program) -> Program | None:
    """The program without its last input, which is an identity matrix.

    None where no equation is the simpler for that.
    """
    *ins, seed = program.ins
    is_matrix = seed.aval.ndim == 2 and seed.aval.size > 1
    if not is_matrix:
        return None
    writer = _Writer(program, seed)
    for eqn in program.eqns:
        writer.rewrite(eqn)
    if not writer.gain:
        return None
    outs = [writer.dense(atom) for atom in program.outs]
    plain = Program(ins, writer.eqns, outs, program.consts, program.values)
    return dce(cse(simplify(plain)))


class _Writer:
    """Collects the equations of the new program.

    Attributes:
        bands: the matrices that are kept as bands.
        gain: how many products and sums are those of vectors now.
    """

    def __init__(self, program: Program, seed: Var) -> None:
        self.eqns: list[Eqn] = []
        self.bands: dict[Atom, Bands] = {}
        self.gain = 0
        self._dense: dict[Atom, Atom] = {}
        pairs = zip(program.consts, program.values, strict=True)
        self._zeros: set[Atom] = {
            var for var, value in pairs if var.aval.ndim == 2 and not value.any()
        }
        shape, dtype = seed.aval.shape[:1], seed.aval.numpy_dtype.name
        ones = self.add("full", (), None, shape=shape, dtype=dtype, value=1)
        self.bands[seed] = (Band(0, 0, ones),)

    def add(self, name: str, ins: tuple[Atom, ...], site: Any, **params: Any) -> Var:
        out, eqn = apply(name, ins, site, **params)
        self.eqns.append(eqn)
        return out

    def rewrite(self, eqn: Eqn) -> None:
        """Append an equation, as one of bands where that is possible."""
        if not any(atom in self.bands for atom in eqn.ins):
            self.eqns.append(eqn)
            if eqn.prim.name == "full" and dict(eqn.params)["value"] == 0:
                self._zeros.add(eqn.outs[0])
            return
        count = len(self.eqns)
        rule = _RULES.get(eqn.prim.name)
        found = None if rule is None else rule(self, eqn)
        if found is not None and self._fits(found, eqn.outs[0]):
            self.gain += eqn.prim.name not in UNARY
            return
        del self.eqns[count:]
        ins = tuple(map(self.dense, eqn.ins))
        self.eqns.append(Eqn(eqn.prim, ins, eqn.params, eqn.outs, eqn.site))

    def _fits(self, found: Bands | Var, out: Var) -> bool:
        """Take what a rule gives for an output, if its type is right."""
        if isinstance(found, Var):
            if found.aval is not out.aval:
                return False
            self._dense[out] = found
            last = self.eqns.pop()
            self.eqns.append(Eqn(last.prim, last.ins, last.params, (out,), last.site))
            return True
        is_typed = all(b.values.aval.dtype == out.aval.dtype for b in found)
        if len(found) > MOST or not is_typed:
            return False
        self.bands[out] = found
        return True

    def dense(self, atom: Atom) -> Atom:
        """A matrix written out, where it is kept as bands."""
        if atom not in self.bands:
            return atom
        if atom not in self._dense:
            shape, dtype = atom.aval.shape, atom.aval.numpy_dtype.name
            place = {"shape": shape, "dtype": dtype}
            bands = self.bands[atom]
            if not bands:
                self._dense[atom] = self.add("full", (), None, **place, value=0)
                return self._dense[atom]
            path = _path_to(bands[0], shape)
            at = {"at": (WHOLE,), "path": path}
            start = self.add("scatter", (bands[0].values,), None, **place, **at)
            self._dense[atom] = self.added(start, bands[1:])
        return self._dense[atom]

    def added(self, matrix: Atom, bands: Bands, site: Any = None) -> Atom:
        """A dense matrix with bands added to it."""
        for band in bands:
            path = _path_to(band, matrix.aval.shape)
            ins = matrix, band.values
            matrix = self.add("index_add", ins, site, at=(WHOLE,), path=path)
        return matrix

    def is_zero(self, atom: Atom) -> bool:
        return atom in self._zeros

    def along(self, atom: Atom, band: Band, shape: Any, site: Any) -> Atom:
        """What a factor of a matrix of that shape is on a band: a vector, a number."""
        own = atom.aval.shape
        rows = band.row, band.row + band.length
        columns = band.column, band.column + band.length
        if not atom.aval.ndim:
            return atom
        if own in ((1,), (1, 1)):
            return self.add("reshape", (atom,), site, shape=())
        if own in ((shape[1],), (1, shape[1])):
            return self.part(atom, columns, site)
        if own == (shape[0], 1):
            return self.part(atom, rows, site)
        assert own == shape
        at = ((*rows, None), (*columns, None))
        block = self.add("index", (atom,), site, at=at)
        return self.add("diagonal", (block,), site, subscripts="aa->a")

    def part(self, atom: Atom, bounds: tuple[int, int], site: Any) -> Atom:
        """A part of a vector, or of a row or column."""
        size = atom.aval.size
        if atom.aval.ndim > 1:
            atom = self.add("reshape", (atom,), site, shape=(size,))
        if bounds == (0, size):
            return atom
        return self.add("index", (atom,), site, at=((*bounds, None),))


def _path_to(band: Band, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The steps from a matrix to the view of it that is a band."""
    rows = (band.row, band.row + band.length, None)
    columns = (band.column, band.column + band.length, None)
    if shape == (band.length, band.length):
        return (DIAGONAL,)
    return (("index", (("at", (rows, columns)),)), DIAGONAL)


def _scaled(writer: _Writer, eqn: Eqn) -> Bands | Var | None:
    """A product or quotient: of the bands with what the factor is there."""
    shape = eqn.outs[0].aval.shape
    matrix, factor = eqn.ins
    is_first = matrix in writer.bands
    if not is_first:
        matrix, factor = factor, matrix
    if factor in writer.bands or matrix.aval.shape != shape:
        return None
    if eqn.prim.name == "divide" and not is_first:
        return None
    found = []
    for band in writer.bands[matrix]:
        other = writer.along(factor, band, shape, eqn.site)
        ins = (band.values, other) if is_first else (other, band.values)
        found.append(band._replace(values=writer.add(eqn.prim.name, ins, eqn.site)))
    return tuple(found)


def _unary(writer: _Writer, eqn: Eqn) -> Bands | Var | None:
    name, params = eqn.prim.name, dict(eqn.params)
    return tuple(
        band._replace(values=writer.add(name, (band.values,), eqn.site, **params))
        for band in writer.bands[eqn.ins[0]]
    )


def _selected(writer: _Writer, eqn: Eqn) -> Bands | Var | None:
    """A select between bands and zero."""
    mask, x, y = eqn.ins
    shape = eqn.outs[0].aval.shape
    matrix, other = (x, y) if x in writer.bands else (y, x)
    is_zero = type(other) is Lit and other.value == 0
    if mask in writer.bands or not is_zero or matrix.aval.shape != shape:
        return None
    found = []
    for band in writer.bands[matrix]:
        choice = writer.along(mask, band, shape, eqn.site)
        ins = (choice, band.values, other)
        if matrix is y:
            ins = (choice, other, band.values)
        found.append(band._replace(values=writer.add("where", ins, eqn.site)))
    return tuple(found)


def _sum_of_two(writer: _Writer, eqn: Eqn) -> Bands | Var | None:
    x, y = eqn.ins
    if x.aval.shape != y.aval.shape:
        return None
    first, second = writer.bands.get(x), writer.bands.get(y)
    if second is not None and eqn.prim.name == "subtract":
        second = tuple(
            b._replace(values=writer.add("negative", (b.values,), eqn.site))
            for b in second
        )
    if first is not None and second is not None:
        return _merged(writer, first, second, eqn.site)
    if second is None:
        assert first is not None
        second = first
        x = y
        if eqn.prim.name == "subtract":
            x = writer.add("negative", (y,), eqn.site)
    if x.aval is not eqn.outs[0].aval:
        return None
    total = writer.added(x, second, eqn.site)
    return total if isinstance(total, Var) and total is not x else None


def _merged(writer: _Writer, first: Bands, second: Bands, site: Any) -> Bands:
    """The bands of a sum: those in the same place are added."""
    found = list(first)
    for band in second:
        place = (band.row, band.column, band.length)
        for number, own in enumerate(found):
            if (own.row, own.column, own.length) == place:
                values = writer.add("add", (own.values, band.values), site)
                found[number] = own._replace(values=values)
                break
        else:
            found.append(band)
    return tuple(found)


def _bounds(eqn: Eqn, shape: tuple[int, ...]) -> list[tuple[int, int]] | None:
    """The rows and the columns that an index names, if it names ranges."""
    params = dict(eqn.params)
    at = params["at"]
    if params.get("path") or len(at) > 2 or any(type(e) is not tuple for e in at):
        return None
    found = []
    for entry, length in zip((*at, *(WHOLE,) * (2 - len(at))), shape, strict=True):
        start, stop, step = slice(*entry).indices(length)
        if step != 1 or stop <= start:
            return None
        found.append((start, stop))
    return found


def _read(writer: _Writer, eqn: Eqn) -> Bands | Var | None:
    """A block of bands: their parts that lie in it."""
    matrix = eqn.ins[0]
    bounds = _bounds(eqn, matrix.aval.shape)
    if bounds is None:
        return None
    (top, bottom), (left, right) = bounds
    found = []
    for band in writer.bands[matrix]:
        start = max(0, top - band.row, left - band.column)
        stop = min(band.length, bottom - band.row, right - band.column)
        if start >= stop:
            continue
        values = writer.part(band.values, (start, stop), eqn.site)
        found.append(Band(band.row + start - top, band.column + start - left, values))
    return tuple(found)


def _shifted(writer: _Writer, eqn: Eqn, block: Atom) -> Bands | None:
    """The bands of a block, in the matrix in which it lies."""
    shape = eqn.outs[0].aval.shape
    bounds = _bounds(eqn, shape) if len(shape) == 2 else None
    if bounds is None or block not in writer.bands:
        return None
    (top, bottom), (left, right) = bounds
    if block.aval.shape != (bottom - top, right - left):
        return None
    return tuple(
        band._replace(row=band.row + top, column=band.column + left)
        for band in writer.bands[block]
    )


def _scattered(writer: _Writer, eqn: Eqn) -> Bands | Var | None:
    return _shifted(writer, eqn, eqn.ins[0]) if len(eqn.ins) == 1 else None


def _added_at(writer: _Writer, eqn: Eqn) -> Bands | Var | None:
    if len(eqn.ins) != 2:
        return None
    matrix, block = eqn.ins
    moved = _shifted(writer, eqn, block)
    if moved is None:
        return None
    own = () if writer.is_zero(matrix) else writer.bands.get(matrix)
    if own is not None:
        return _merged(writer, own, moved, eqn.site)
    total = writer.added(matrix, moved, eqn.site)
    return total if isinstance(total, Var) and total is not matrix else None


def _transposed(writer: _Writer, eqn: Eqn) -> Bands | Var | None:
    bands = writer.bands[eqn.ins[0]]
    return tuple(Band(b.column, b.row, b.values) for b in bands)


def _product(writer: _Writer, eqn: Eqn) -> Bands | Var | None:
    """A matrix product of one diagonal: the rows or columns of the other, scaled."""
    a, b = eqn.ins
    is_left = a in writer.bands
    matrix, other = (a, b) if is_left else (b, a)
    if other in writer.bands or len(writer.bands[matrix]) != 1 or other.aval.ndim > 2:
        return None
    (band,) = writer.bands[matrix]
    kept = matrix.aval.shape[0 if is_left else 1]
    start = band.row if is_left else band.column
    read = band.column if is_left else band.row
    if start or band.length != kept:
        return None
    bounds = (read, read + band.length)
    values = band.values
    if other.aval.ndim == 1:
        part = writer.part(other, bounds, eqn.site)
        ins = (values, part) if is_left else (part, values)
        return writer.add("multiply", ins, eqn.site)
    if is_left:
        values = writer.add("reshape", (values,), eqn.site, shape=(kept, 1))
    if bounds != (0, other.aval.shape[0 if is_left else 1]):
        entry = (*bounds, None)
        at = (entry,) if is_left else (WHOLE, entry)
        other = writer.add("index", (other,), eqn.site, at=at)
    ins = (values, other) if is_left else (other, values)
    return writer.add("multiply", ins, eqn.site)


_RULES: dict[str, Callable[[_Writer, Eqn], Bands | Var | None]] = {
    "multiply": _scaled,
    "divide": _scaled,
    "where": _selected,
    "add": _sum_of_two,
    "subtract": _sum_of_two,
    "index": _read,
    "scatter": _scattered,
    "index_add": _added_at,
    "transpose": _transposed,
    "matmul": _product,
    **dict.fromkeys(UNARY, _unary),
}
