"""Checks for derivatives and programs, for fgrad's own tests and for yours."""

import difflib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.api import Function, jvp, vjp
from fgrad.primitive import Primitive, Sample
from fgrad.programs import make_program
from fgrad.text import parse
from fgrad.trace import as_operand, type_of

STEPS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
# relative tolerance of a central difference, by bits of the lowest real precision
TOLERANCES = {16: 3e-2, 32: 1e-3, 64: 1e-6}
PRODUCT_MARGIN = 2000  # unit roundoffs by which the two modes may differ

__all__ = ["Sample", "assert_program", "check_grads", "samples"]


def check_grads(
    f: Function,
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    *,
    rtol: float | None = None,
    atol: float | None = None,
    eps: float | Sequence[float] | None = None,
    seed: int = 0,
) -> None:
    """Check the derivatives of ``f`` at ``args`` against central differences.

    The derivative along one random direction is compared with central differences,
    taken in double precision at several step sizes, of which the one that agrees best
    counts. With both modes, ``Re<J t, ct> = Re<t, J^T ct>`` is checked to rounding,
    too. Order 2 does the same for the products ``J t`` and ``J^T ct`` as functions of
    the arguments and of ``t`` and ``ct``. Integer arguments are held fixed; integer
    results are ignored.

    Args:
        f: a function of NumPy arrays or nested containers, returning the same.
        args: its arguments.
        order: the highest order of derivative to check.
        modes: ``"fwd"`` (jvp), ``"rev"`` (vjp) or both.
        rtol: tolerance relative to the largest element of a derivative; by default what
            the precision of the arguments and results allows.
        atol: absolute tolerance; by default a hundredth of ``rtol``.
        eps: one step size or several.
        seed: of the random direction.

    Raises:
        AssertionError: a derivative is wrong; the message says which, by how much.
        ValueError: no argument or no result is floating-point.

    >>> import numpy as np
    >>> from fgrad.testing import check_grads
    >>> check_grads(lambda x, y: np.sin(x) * y, (np.ones(3), 2.0))
    """
    wrong = set(modes) - {"fwd", "rev"}
    if wrong or not modes:
        raise ValueError(f"modes are 'fwd' and 'rev', got {tuple(modes)!r}")
    steps = STEPS if eps is None else tuple(np.atleast_1d(eps).tolist())
    name = getattr(f, "__name__", type(f).__name__)
    checker = _Checker(tuple(modes), rtol, atol, steps, np.random.default_rng(seed))
    checker.check(f, tuple(args), order, name)


class _Checker:
    """The options of one `check_grads`, and its random numbers."""

    def __init__(
        self,
        modes: tuple[str, ...],
        rtol: float | None,
        atol: float | None,
        steps: tuple[float, ...],
        rng: np.random.Generator,
    ) -> None:
        self.modes = modes
        self.rtol = rtol
        self.atol = atol
        self.steps = steps
        self.rng = rng

    def check(self, f: Function, args: tuple[Any, ...], order: int, what: str) -> None:
        """Check ``f``, then its products with Jacobians, up to ``order``."""
        g, primals = _of_inexact_leaves(f, args)
        values = g(*map(np.copy, primals))
        if not primals or not values:
            raise ValueError(f"{what} has no floating-point argument or no such result")
        tangents = [self._random_like(x) for x in primals]
        cotangents = [self._random_like(y) for y in values]
        differences = _central_differences(g, primals, tangents, self.steps)
        bits = min(_bits(x) for x in (*primals, *values))
        rtol = TOLERANCES[bits] if self.rtol is None else self.rtol
        atol = rtol / 100 if self.atol is None else self.atol
        forward = backward = None
        if "fwd" in self.modes:
            found, forward = jvp(g, tuple(primals), tuple(tangents))
            _compare_values(found, values, f"the value of {what} under jvp")
            for number, derived in enumerate(forward):
                numeric = [row[number] for row in differences]
                label = f"jvp of {what}, result {number}"
                _compare(label, derived, numeric, self.steps, rtol, atol)
        if "rev" in self.modes:
            found, pullback = vjp(g, *primals)
            _compare_values(found, values, f"the value of {what} under vjp")
            backward = list(pullback(cotangents))
            derived = pair(backward, tangents)
            numeric = [pair(cotangents, row) for row in differences]
            _compare(f"vjp of {what}", derived, numeric, self.steps, rtol, atol)
        if forward is not None and backward is not None:
            _compare_modes(what, forward, cotangents, backward, tangents, bits)
        if order > 1:
            self._check_products(g, primals, tangents, cotangents, order, what)

    def _check_products(
        self,
        g: Function,
        primals: list[Any],
        tangents: list[Any],
        cotangents: list[Any],
        order: int,
        what: str,
    ) -> None:
        def push(xs: list[Any], ts: list[Any]) -> Any:
            return jvp(g, tuple(xs), tuple(ts))[1]

        def pull(xs: list[Any], cts: list[Any]) -> Any:
            return vjp(g, *xs)[1](cts)

        if "fwd" in self.modes:
            self.check(push, (primals, tangents), order - 1, f"(jvp of {what})")
        if "rev" in self.modes:
            self.check(pull, (primals, cotangents), order - 1, f"(vjp of {what})")

    def _random_like(self, x: Any) -> Any:
        aval = type_of(as_operand(x))
        values = self.rng.standard_normal(aval.shape)
        if aval.is_complex:
            values = values + 1j * self.rng.standard_normal(aval.shape)
        return np.asarray(values).astype(aval.numpy_dtype)[()]


def _of_inexact_leaves(
    f: Function, args: tuple[Any, ...]
) -> tuple[Callable[..., list[Any]], list[Any]]:
    """``f`` as a function of its floating-point leaves that returns a list of such."""
    leaves, treedef = tree.flatten(args)
    leaves = [
        x if isinstance(x, np.ndarray | np.generic) else np.asarray(x)[()]
        for x in leaves
    ]
    chosen = [k for k, x in enumerate(leaves) if _is_inexact(x)]

    def g(*xs: Any) -> list[Any]:
        filled = list(leaves)
        for k, x in zip(chosen, xs, strict=True):
            filled[k] = x
        outs, _ = tree.flatten(f(*tree.unflatten(treedef, filled)))
        return [out for out in outs if _is_inexact(out)]

    return g, [leaves[k] for k in chosen]


def _is_inexact(x: Any) -> bool:
    return type_of(as_operand(x)).is_inexact


def _bits(x: Any) -> int:
    bits: int = type_of(as_operand(x)).real.dtype.itemsize * 8
    return min(bits, 64)


def pair(cotangents: Sequence[Any], tangents: Sequence[Any]) -> float:
    """``Re(sum(ct * t))``, the pairing of cotangents and tangents.

    >>> from fgrad.testing import pair
    >>> pair([2.0, 1j], [3.0, 1j])
    5.0
    """
    products = zip(cotangents, tangents, strict=True)
    return float(sum(np.sum(np.real(np.multiply(ct, t))) for ct, t in products))


def _central_differences(
    g: Callable[..., list[Any]],
    primals: list[Any],
    tangents: list[Any],
    steps: Sequence[float],
) -> list[list[Any]]:
    """For each step size the derivative along the tangents, in double precision."""
    points = [np.asarray(x, np.result_type(x, np.float64)) for x in primals]

    def move(step: float) -> list[Any]:
        moved = [x + step * t for x, t in zip(points, tangents, strict=True)]
        return [np.asarray(y) for y in g(*moved)]

    rows = []
    with np.errstate(all="ignore"):
        for step in steps:
            pairs = zip(move(step), move(-step), strict=True)
            rows.append([(up - down) / (2 * step) for up, down in pairs])
    return rows


def _compare_values(found: Sequence[Any], expected: Sequence[Any], what: str) -> None:
    for one, other in zip(found, expected, strict=True):
        same_type = np.shape(one) == np.shape(other) and np.result_type(
            one
        ) == np.result_type(other)
        if not same_type or not np.allclose(one, other, 1e-5, 1e-8, equal_nan=True):
            raise AssertionError(
                f"{what} is not NumPy's: {one!r} in place of {other!r}"
            )


def _compare(
    label: str,
    derived: Any,
    numeric: Sequence[Any],
    steps: Sequence[float],
    rtol: float,
    atol: float,
) -> None:
    """Compare with the differences that agree best.

    Raises:
        AssertionError: none agrees within the tolerances.
    """
    if not np.size(derived):
        return
    errors = [float(np.max(np.abs(derived - row))) for row in numeric]
    bounds = [atol + rtol * float(np.max(np.abs(row))) for row in numeric]
    if any(error <= bound for error, bound in zip(errors, bounds, strict=True)):
        return
    finite = [k for k, error in enumerate(errors) if np.isfinite(error)]
    best = min(finite, key=lambda k: errors[k]) if finite else 0
    listed = ", ".join(f"{s:g}: {e:.3g}" for s, e in zip(steps, errors, strict=True))
    raise AssertionError(
        f"{label} is wrong: derived\n{derived}\nby central differences (step "
        f"{steps[best]:g})\n{numeric[best]}\nlargest error by step size: {listed}; "
        f"tolerance rtol={rtol:g}, atol={atol:g}"
    )


def _compare_modes(
    what: str,
    forward: Sequence[Any],
    cotangents: Sequence[Any],
    backward: Sequence[Any],
    tangents: Sequence[Any],
    bits: int,
) -> None:
    pushed, pulled = pair(cotangents, forward), pair(backward, tangents)
    size = pair(list(map(np.abs, cotangents)), list(map(np.abs, forward)))
    size += pair(list(map(np.abs, backward)), list(map(np.abs, tangents)))
    unit = float(np.finfo(f"float{bits}").eps)
    if not abs(pushed - pulled) <= PRODUCT_MARGIN * unit * size:
        raise AssertionError(
            f"the two modes of {what} disagree: <ct, J t> = {pushed!r}, <J^T ct, t> = "
            f"{pulled!r}"
        )


def samples(primitive: str | Primitive) -> list[Sample]:
    """The operands and params on which tests run a primitive.

    >>> from fgrad.testing import samples
    >>> samples("reshape")[0].params
    {'shape': (3, 2)}
    """
    if isinstance(primitive, str):
        primitive = Primitive.registry[primitive]
    return primitive.samples()


def assert_program(f: Function, args: Sequence[Any], text: str) -> None:
    """Check that the program of ``f`` for ``args`` has this text.

    Indentation and empty lines do not count.

    Args:
        f: a function of NumPy arrays or nested containers, returning the same.
        args: its arguments: values, or ``fgrad.Aval``s.
        text: the expected text form.

    Raises:
        AssertionError: the texts differ; the message is their difference.
        ProgramError: the text is not that of a program.

    >>> import numpy as np
    >>> from fgrad.testing import assert_program
    >>> assert_program(lambda x: np.sin(x) + 1.0, (np.ones(3),), '''
    ...     { lambda ; a:f64[3] . let
    ...         b:f64[3] = sin a
    ...         c:f64[3] = add b 1.0
    ...       in (c,) }
    ... ''')
    """
    program = make_program(f)(*args)
    expected = [line.strip() for line in inspect.cleandoc(text).splitlines()]
    expected = [line for line in expected if line]
    found = [line.strip() for line in str(program).splitlines()]
    if found == expected:
        return
    parse(text)
    lines = difflib.unified_diff(
        expected, found, "expected", "found", lineterm="", n=99
    )
    raise AssertionError("the program has another text:\n" + "\n".join(lines))
