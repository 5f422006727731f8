"""``torch.testing``: whether tensors, numbers and containers of them are close."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fgrad.torch.creation import as_tensor
from fgrad.torch.tensor import Tensor

__all__ = ["assert_close"]
TOLERANCES = {  # relative and absolute, by dtype; integers must be equal
    "float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip
Leaf = tuple[Any, Any, str]  # what was found, what was expected, and where


def __dir__() -> list[str]:
    return __all__


class _Options:
    """What is compared, and how closely."""

    def __init__(self, rtol: Any, atol: Any, equal_nan: bool, checks: set[str]) -> None:
        if (rtol is None) != (atol is None):
            missing = "rtol" if rtol is None else "atol"
            raise ValueError(
                "Both 'rtol' and 'atol' must be either specified or omitted, but got "
                f"no {missing}."
            )
        self._given = None if rtol is None else (rtol, atol)
        self.equal_nan, self.checks = equal_nan, checks

    def tolerances(self, *kinds: Any) -> tuple[float, float]:
        """The relative and the absolute one, the larger of those of the dtypes."""
        if self._given is not None:
            return self._given
        found = [TOLERANCES.get(np.dtype(kind).name, (0.0, 0.0)) for kind in kinds]
        return max(r for r, _ in found), max(a for _, a in found)

    def close(self, actual: Any, expected: Any, *kinds: Any) -> Any:
        """Where elements are close."""
        rtol, atol = self.tolerances(*kinds)
        return np.isclose(actual, expected, rtol, atol, self.equal_nan)


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _leaves(actual: Any, expected: Any, path: str) -> Iterator[Leaf]:
    """The pairs in two containers.

    Raises:
        AssertionError: they have other lengths or keys.
        TypeError: two things cannot be compared.
    """
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            text = f"The length of the sequences mismatch: {len(actual)} != "
            raise AssertionError(_at(path, f"{text}{len(expected)}"))
        for place, pair in enumerate(zip(actual, expected, strict=True)):
            yield from _leaves(*pair, f"{path}[{place}]")
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if set(actual) != set(expected):
            missing, more = set(expected) - set(actual), set(actual) - set(expected)
            text = (
                "The keys of the mappings do not match:\nMissing keys in the actual "
                f"mapping: {sorted(missing)}\nAdditional keys in the actual mapping: "
                f"{sorted(more)}"
            )
            raise AssertionError(_at(path, text))
        for name in _sorted(actual):
            yield from _leaves(actual[name], expected[name], f"{path}[{name!r}]")
    else:
        if not _comparable(actual, expected):
            raise TypeError(
                _at(
                    path,
                    "No comparison pair was able to handle inputs of type "
                    f"{type(actual)} and {type(expected)}.",
                )
            )
        yield actual, expected, path


def _sorted(names: Any) -> list[Any]:
    kinds = {type(name) for name in names}
    return sorted(names) if len(kinds) == 1 else list(names)


def _comparable(actual: Any, expected: Any) -> bool:
    if actual is None or expected is None:
        return True
    pair = (actual, expected)
    if all(isinstance(x, int | float | complex | np.number | np.bool_) for x in pair):
        are_bool = [isinstance(x, bool | np.bool_) for x in pair]
        return are_bool[0] == are_bool[1]
    is_array = all(isinstance(x, Tensor | np.ndarray) for x in pair)
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    return is_array and related


def _at(path: str, text: str) -> str:
    return f"{text}\n\nThe failure occurred for item {path}" if path else text


def _difference(actual: Any, expected: Any, options: _Options) -> str | None:
    """What PyTorch says of two that are not close; None where they are."""
    if actual is None or expected is None:
        if actual is expected:
            return None
        return f"None mismatch: {actual} is not {expected}"
    if isinstance(actual, bool | np.bool_):
        if actual == expected:
            return None
        return f"Booleans mismatch: {bool(actual)} is not {bool(expected)}"
    if isinstance(actual, Tensor | np.ndarray):
        return _tensors(as_tensor(actual), as_tensor(expected), options)
    pair = (actual, expected)
    mine, other = (x.item() if isinstance(x, np.number) else x for x in pair)
    if "dtype" in options.checks and type(mine) is not type(other):
        return f"The (d)types do not match: {type(mine)} != {type(other)}."
    kinds = (type(mine), type(other))
    if options.close(mine, other, *kinds):
        return None
    return _scalars(mine, other, options.tolerances(*kinds))


def _allowed(tolerance: float) -> str:
    return f" (up to {tolerance} allowed)" if tolerance else ""


def _kind_of_failure(tolerances: tuple[float, float]) -> str:
    return "close" if any(tolerances) else "equal"


def _scalars(actual: Any, expected: Any, tolerances: tuple[float, float]) -> str:
    distance = abs(actual - expected)
    relative = float("inf") if expected == 0 else abs(distance / expected)
    return (
        f"Scalars are not {_kind_of_failure(tolerances)}!\n\nExpected {expected} but "
        f"got {actual}.\nAbsolute difference: {distance}{_allowed(tolerances[1])}\n"
        f"Relative difference: {relative}{_allowed(tolerances[0])}"
    )


def _tensors(x: Tensor, y: Tensor, options: _Options) -> str | None:
    attributes: list[tuple[str, Any, Any]] = [("shape", x.shape, y.shape)]
    attributes += [("device", x.device, y.device), ("dtype", x.dtype, y.dtype)]
    steps = (x.stride(), y.stride())
    attributes += [("stride()", *steps)]
    for name, mine, other in attributes:
        if name in {"shape", *options.checks} and mine != other:
            return f"The values for attribute '{name}' do not match: {mine} != {other}."
    kinds = (x._aval.dtype, y._aval.dtype)
    common = np.result_type(*kinds)
    is_exact = common.kind in "biu"
    wide = np.int64 if is_exact else common
    actual, expected = x._array.astype(wide), y._array.astype(wide)
    is_close = options.close(actual, expected, *kinds)
    if np.all(is_close):
        return None
    tolerances = options.tolerances(*kinds)
    if not actual.ndim:
        return _scalars(actual.item(), expected.item(), tolerances)
    return _elements(actual, expected, is_close, tolerances)


def _elements(
    actual: Any, expected: Any, is_close: Any, tolerances: tuple[float, float]
) -> str:
    distance = np.abs(actual - expected)
    distance[is_close] = 0  # of infinities that are equal
    with np.errstate(all="ignore"):
        relative = distance / np.abs(expected)
    relative[is_close] = 0
    wrong, size = int(np.sum(~is_close)), is_close.size
    lines = [
        f"Tensor-likes are not {_kind_of_failure(tolerances)}!\n",
        f"Mismatched elements: {wrong} / {size} ({wrong / size:.1%})",
    ]
    pairs = zip(("absolute", "relative"), (distance, relative), strict=True)
    for (name, found), allowed in zip(pairs, reversed(tolerances), strict=True):
        place = int(np.argmax(found))
        index = tuple(int(k) for k in np.unravel_index(place, found.shape))
        lines.append(
            f"Greatest {name} difference: {found.flat[place].item()} at index {index}"
            f"{_allowed(allowed)}"
        )
    return "\n".join(lines)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise an error where two tensors, numbers or containers of them are not close.

    Elements are close if ``|actual - expected| <= atol + rtol * |expected|``.

    Args:
        actual: what was found.
        expected: what it should be.
        allow_subclasses: accepted, without effect.
        rtol: the relative tolerance; by default that of the dtype, as for ``atol``.
        atol: the absolute tolerance.
        equal_nan: whether NaN is close to NaN.
        check_device: whether devices must be the same.
        check_dtype: whether dtypes must be the same.
        check_layout: accepted, without effect.
        check_stride: whether strides must be the same.
        msg: another text for the error, or a function of the text.

    Raises:
        AssertionError: they are not close.
        TypeError: they cannot be compared.
        ValueError: only one of the tolerances is given.

    >>> torch.testing.assert_close(torch.ones(2), torch.ones(2) + 1e-7)
    >>> torch.testing.assert_close(1.0, 2.0)
    Traceback (most recent call last):
    AssertionError: Scalars are not close!
    <BLANKLINE>
    Expected 2.0 but got 1.0.
    Absolute difference: 1.0 (up to 1e-07 allowed)
    Relative difference: 0.5 (up to 1e-07 allowed)
    """
    flags = {"device": check_device, "dtype": check_dtype, "stride()": check_stride}
    checks = {name for name, is_checked in flags.items() if is_checked}
    options = _Options(rtol, atol, equal_nan, checks)
    for mine, other, path in list(_leaves(actual, expected, "")):
        text = _difference(mine, other, options)
        if text is not None:
            text = _at(path, text)
            raise AssertionError(msg(text) if callable(msg) else msg or text)
