"""The work of `gradcheck`: Jacobians by differences, by reverse and by forward mode."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from fgrad.torch.autograd import grad
from fgrad.torch.forward import push_forward
from fgrad.torch.likes import randn_like
from fgrad.torch.modes import enable_grad
from fgrad.torch.storage import writing
from fgrad.torch.tensor import Array, Tensor, make

NOT_REENTRANT = (
    "Backward is not reentrant, i.e., running backward with same input and grad_output "
    "multiple times gives different values, although analytical gradient matches "
    "numerical gradient.The tolerance for nondeterminism was {}."
)
MISMATCH = "{}Jacobian {}mismatch for output {} with respect to input {},\n"
PART = "While considering the {} part of complex outputs only, "
FAST = """

The above quantities relating the numerical and analytical jacobians are computed 
in fast mode. See: https://github.com/pytorch/pytorch/issues/53876 for more background 
about fast mode. Below, we recompute numerical and analytical jacobians in slow mode:

Numerical:
 {}
Analytical:
{}

The max per-element difference (slow mode) is: {}.
"""

Function = Callable[..., Any]


class GradcheckError(RuntimeError):
    """What `gradcheck` raises where a gradient is wrong."""

    __module__ = "torch.autograd.gradcheck"


class Tolerance(NamedTuple):
    """How far gradients may be from differences.

    Attributes:
        eps: by how much an element is moved.
        atol: the absolute difference that is allowed.
        rtol: the relative one.
        nondet: the difference between two calls of backward that is allowed.
    """

    eps: float
    atol: float
    rtol: float
    nondet: float

    def allows(self, found: Any, expected: Any) -> bool:
        """Whether a Jacobian is near enough to the expected one."""
        return np.allclose(found, expected, self.rtol, self.atol)


def differentiable(result: Any) -> list[Any]:
    """The outputs that have gradients."""
    results = [result] if isinstance(result, Tensor) else list(result)
    return [y for y in results if y.requires_grad]


class Check:
    """One check of a function at a point."""

    def __init__(
        self, func: Function, inputs: list[Any], tolerance: Tolerance, dtypes: bool
    ) -> None:
        self.func = func
        self.inputs = inputs
        self.checked = [
            (number, x)
            for number, x in enumerate(inputs)
            if isinstance(x, Tensor) and x._requires
        ]
        self.tolerance = tolerance
        self.dtypes = dtypes

    def backward(self, fast: bool) -> None:
        """Check the reverse mode."""
        outputs = self._recorded(None)
        if not outputs:
            self._expect_zero()
            return
        for number, y in enumerate(outputs):
            for part in _parts(y):
                self._backward_of(number, part, fast and not part)
        self._check_zero_seeds(outputs)

    def _recorded(self, number: int | None, part: str = "") -> list[Any]:
        """The outputs that have gradients, or a part of one of them."""
        with enable_grad():
            outputs = differentiable(self.func(*self.inputs))
            return outputs if number is None else [_part(outputs[number], part)]

    def _values(self, number: int | None, part: str = "") -> list[Array]:
        """The values of outputs at the inputs as they are now."""
        outputs = self._recorded(number, part)
        return [np.array(y._array) for y in outputs]

    def _expect_zero(self) -> None:
        result = self.func(*self.inputs)
        results = [result] if isinstance(result, Tensor) else list(result)

        def values(place: int) -> Array:
            found = self.func(*self.inputs)
            every = [found] if isinstance(found, Tensor) else list(found)
            return np.array(every[place]._array)

        for _, x in self.checked:
            for place in range(len(results)):
                jacobian = _numerical(
                    functools.partial(values, place), x, self.tolerance.eps
                )
                if not np.allclose(jacobian, 0):
                    raise GradcheckError(
                        "Numerical gradient for function expected to be zero"
                    )

    def _backward_of(self, number: int, part: str, fast: bool) -> None:
        prefix = PART.format(part) if part else ""
        (y,) = self._recorded(number, part)
        for place, x in self.checked:
            if fast and y._aval.size and x._aval.size and x._aval.dtype.kind == "f":
                self._fast(number, place, y, x)
                continue
            expected = self._numerical(number, part, x)
            found = self._rows(y, x)
            if not self.tolerance.allows(found, expected):
                raise _mismatch(prefix, "", number, place, expected, found)
            again = self._rows(y, x)
            if not np.allclose(found, again, 0.0, self.tolerance.nondet):
                raise GradcheckError(NOT_REENTRANT.format(self.tolerance.nondet))

    def _numerical(self, number: int, part: str, x: Tensor) -> Array:
        return _numerical(lambda: self._values(number, part)[0], x, self.tolerance.eps)

    def _rows(self, y: Any, x: Tensor) -> Array:
        """The Jacobian by reverse mode: a row for each element of the input."""
        jacobian = np.zeros((x._aval.size, y._aval.size), x._aval.dtype)
        for k in range(y._aval.size):
            seed = np.zeros(y._aval.size, y._aval.dtype)
            seed[k] = 1
            found = self._pull(y, x, seed.reshape(y._aval.shape))
            if found is not None:
                jacobian[:, k] = found._array.reshape(-1)
        return jacobian

    def _pull(self, y: Any, x: Tensor, seed: Array) -> Any:
        (found,) = grad(y, x, make(seed), retain_graph=True, allow_unused=True)
        if found is not None and self.dtypes and found._aval.dtype != x._aval.dtype:
            raise GradcheckError(
                f"Backward has incorrect dtype: {found.dtype} for an input of {x.dtype}"
            )
        return found

    def _fast(self, number: int, place: int, y: Any, x: Tensor) -> None:
        """Compare one product with random vectors from both sides."""
        left, right = (_unit(z) for z in (y, x))
        values = []
        for sign in (1, -1):
            with _moved(x, sign * self.tolerance.eps * right):
                values.append(np.sum(left * self._values(number)[0]))
        expected = (values[0] - values[1]) / (2 * self.tolerance.eps)
        pulled = self._pull(y, x, left)
        found = 0.0 if pulled is None else np.sum(pulled._array * right)
        if self.tolerance.allows(found, expected):
            return
        rows, columns = self._rows(y, x), self._numerical(number, "", x)
        text = MISMATCH.format("", "", number, place)
        text += f"numerical:{expected}\nanalytical:{found}"
        distance = float(np.max(np.abs(rows - columns)))
        raise GradcheckError(text + FAST.format(make(columns), make(rows), distance))

    def _check_zero_seeds(self, outputs: list[Any]) -> None:
        """Gradients are linear: for zeros they are zeros."""
        for y in outputs:
            for _, x in self.checked:
                found = self._pull(y, x, np.zeros(y._aval.shape, y._aval.dtype))
                if found is not None and not np.allclose(found._array, 0):
                    raise GradcheckError("backward not multiplied by grad_output")

    def forward(self) -> None:
        """Check the forward mode."""
        outputs = self._recorded(None)
        for number, y in enumerate(outputs):
            for part in _parts(y):
                prefix = PART.format(part) if part else ""
                for place, x in self.checked:
                    expected = self._numerical(number, part, x)
                    found = self._pushed(number, part, x)
                    if not self.tolerance.allows(found, expected):
                        how = "computed with forward mode "
                        raise _mismatch(prefix, how, number, place, expected, found)

    def _pushed(self, number: int, part: str, x: Tensor) -> Array:
        """The Jacobian by forward mode: a row for each element of the input."""
        (y,) = self._recorded(number, part)
        rows = []
        for k in range(x._aval.size):
            unit = np.zeros(x._aval.size, x._aval.dtype)
            unit[k] = 1
            tangent = make(unit.reshape(x._aval.shape))
            (row,) = push_forward([y], [x], [tangent])
            if x._aval.dtype.kind == "c":
                (turned,) = push_forward([y], [x], [make(tangent._array * 1j)])
                row = make(row._array + 1j * turned._array)
            rows.append(row._array.reshape(-1))
        return np.stack(rows)


def _parts(y: Any) -> list[str]:
    return ["imaginary", "real"] if y._aval.dtype.kind == "c" else [""]


def _part(y: Any, part: str) -> Any:
    if not part:
        return y
    return y.imag if part == "imaginary" else y.real


def _unit(x: Tensor) -> Array:
    """A random direction of length one."""
    drawn = randn_like(make(np.zeros(x._aval.shape)))._array
    return drawn / np.sqrt(np.sum(drawn * drawn))  # type: ignore[no-any-return]


@contextmanager
def _moved(x: Tensor, by: Array) -> Iterator[None]:
    """The elements of a tensor moved, in its own memory: closures see it, too."""
    before = x._array.copy()
    writing(x)
    x._array[...] = before + by
    try:
        yield
    finally:
        writing(x)
        x._array[...] = before


def _numerical(values: Callable[[], Array], x: Tensor, eps: float) -> Array:
    """Central differences: a row for each element of the input.

    For complex inputs that of the real part plus ``1j`` times that of the imaginary
    part, which is PyTorch's convention of gradients.
    """
    directions = [1.0, 1j] if x._aval.dtype.kind == "c" else [1.0]
    rows = [
        sum(
            _difference(values, x, index, eps, direction) * direction
            for direction in directions
        )
        for index in np.ndindex(x._aval.shape)
    ]
    return np.stack(rows) if rows else np.zeros((0, values().size))


def _difference(
    values: Callable[[], Array], x: Tensor, index: Any, eps: float, direction: Any
) -> Array:
    by = np.zeros_like(x._array)
    by[index] = eps * direction
    with _moved(x, by):
        above = values()
    with _moved(x, -by):
        below = values()
    return ((above - below) / (2 * eps)).reshape(-1)


def _mismatch(
    prefix: str, how: str, number: int, place: int, expected: Array, found: Array
) -> GradcheckError:
    text = MISMATCH.format(prefix, how, number, place)
    shown = f"numerical:{make(expected)}\nanalytical:{make(found)}\n"
    return GradcheckError(text + shown)
