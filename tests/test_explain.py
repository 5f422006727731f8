"""``explain`` says what a jitted function does; ``profile`` what that takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad import threads

X = np.linspace(0.1, 1.0, 20_000)
LONG = np.linspace(0.1, 1.0, 300_000)
SMALL = np.array([0.3, -1.2, 0.7])


def explained(f: Any, *args: Any, **options: Any) -> str:
    jitted = fgrad.jit(f, **options)
    jitted(*args)
    return str(jitted.explain())


def line_with(text: str, part: str) -> str:
    (line,) = (line for line in text.splitlines() if part in line)
    return line.strip()


def branching(x: Any) -> Any:
    if np.sum(x) > 0:  # a comment of ours
        return np.sin(x)
    return np.cos(x) * 2.0


def chain(x: Any) -> Any:
    z = x
    for k in range(8):
        z = np.sin(z) * (k + 1.0) + x
    return np.sum(z)


# --- explain


def test_before_and_after_clearing() -> None:
    jitted = fgrad.jit(chain)
    assert jitted.explain() == "chain: nothing traced yet"
    jitted(SMALL)
    assert jitted.explain().startswith("chain(x: f64[3])\n  path 0: ")
    jitted.clear_cache()
    assert jitted.explain() == "chain: nothing traced yet"


def test_arguments_and_lengths() -> None:
    def f(params: Any, n: Any) -> Any:
        return params["w"] * n + params["b"][0] * 1.0 + 0.0 * 0.0

    text = explained(f, {"w": SMALL, "b": [SMALL]}, 2)
    head = "f(params['b'][0]: f64[3], params['w']: f64[3], n: int)"
    assert text.splitlines()[0] == head
    twice = explained(lambda x: np.sin(x) + np.sin(x), SMALL)
    assert "path 0: 2 equations, 3 as traced" in twice
    more = explained(lambda x: np.sin(x * 1.0) * 1.0, SMALL)
    assert "path 0: 1 equations, 3 as traced" in more


def test_specialised() -> None:
    jitted = fgrad.jit(branching)
    jitted(SMALL + 5)
    line = line_with(jitted.explain(), "specialised")
    assert line.startswith("specialised: bool is True at test_explain.py:")
    assert "`if np.sum(x) > 0:" in line
    assert line.endswith("; another value traces another path")
    jitted(SMALL - 5)
    first, second = jitted.explain().split("path 1: ")
    assert line_with(first, "specialised").endswith("; path 1 for False")
    assert "specialised: bool is False at test_explain.py:" in second
    counted = explained(lambda x, n: x * len(range(n)), SMALL, 3)
    assert "specialised: int is 3 at" in counted
    masks = fgrad.jit(lambda x: x[x > 0])
    masks(SMALL)
    masks(-SMALL)
    assert "array is these elements" in masks.explain()
    assert "path 1 for other elements" in masks.explain()
    assert "specialised" not in explained(np.sin, SMALL)


def test_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgrad.explain.thread_count", lambda: 7)
    line = line_with(explained(chain, LONG), "fused: ")
    assert line.startswith("fused: 23 elementwise equations and 1 sums on (300000,)")
    assert "in blocks of 16384 rows" in line and line.endswith("up to 7 threads")
    short = line_with(explained(chain, LONG[:100_000]), "fused: ")
    assert short.endswith("one thread: less work than a second one is worth")
    text = explained(chain, X)
    assert "not fused: 23 elementwise equations on large arrays" in text
    assert "fused" not in explained(chain, SMALL)


def test_memory() -> None:
    def f(x: Any) -> Any:
        y = np.sin(x) * 2.0
        return np.cumsum(y), y[::2], SMALL * 1.0 + SMALL

    text = explained(f, X)
    assert "reused: 1 results overwrite an operand (1 multiply)" in text
    kept = line_with(text, "kept: ")
    assert kept.startswith("kept: 2 results go into 1 arrays that are kept")
    assert "(0.16 MB)" in kept
    assert "copied: result 1, which shares memory with something else" in text
    assert "kept: " not in explained(f, SMALL)
    assert "copied: " not in explained(lambda x: x * 2.0, X)


def test_closed_over() -> None:
    text = explained(lambda x: x * X, X)
    assert "closed over: 1 arrays, 0.16 MB, frozen" in text
    assert "closed over" not in explained(lambda x: x * 2.0, X)


def test_donated() -> None:
    f = lambda x, y: x * 2.0 + y
    text = explained(f, SMALL, SMALL, donate_argnums=0)
    assert line_with(text, "donated: ") == "donated: 1 of 1 arguments are overwritten"
    unused = explained(lambda x, y: np.sum(x) * y, SMALL, SMALL, donate_argnums=0)
    assert "donated: 0 of 1 arguments" in unused
    guarded = explained(branching, SMALL, donate_argnums=0)
    assert "donated: 0 of 1 arguments are overwritten: a guard may need" in guarded
    assert "donated" not in explained(f, SMALL, SMALL)


def test_scalar_or_why_not() -> None:
    assert "scalar: Python floats" in explained(lambda x: np.sin(x) * x, 0.5)
    assert "not scalar" not in explained(lambda x: np.sin(x) * x, 0.5)
    texts = {
        "an argument is of type int": explained(lambda x: x * 2.0, 3),
        "an argument is of type f32[]": explained(lambda x: x * 2, np.float32(3)),
        "it closes over arrays": explained(lambda x: x * SMALL, 0.5),
        "no float code for reshape at test_explain.py:": explained(
            lambda x: np.stack([x, x]), 0.5
        ),
    }
    for reason, text in texts.items():
        assert f"not scalar: {reason}" in text
        assert "scalar: Python floats" not in text
    assert "scalar" not in explained(lambda x: x * 2.0, SMALL)


def test_quiet() -> None:
    assert "quiet: " in explained(fgrad.grad(lambda x: np.sum(x**3)), SMALL)
    assert "quiet: " not in explained(lambda x: np.sum(x**3), SMALL)


# --- profile


def profiled(
    f: Any, *args: Any, file: Any = None, capsys: Any
) -> tuple[Any, list[str]]:
    capsys.readouterr()
    out = fgrad.profile(f, repeats=3, file=file)(*args)
    return out, capsys.readouterr().out.splitlines()


def scanned(x: Any) -> Any:
    return fgrad.scan(lambda c, k: (c * k, np.sum(c)), x, np.arange(3.0))


CASES = {
    "arrays": (lambda x: np.sum(np.sin(x) * x), SMALL),
    "blocks": (chain, LONG),
    "kept": (lambda x: np.cumsum(np.sin(x) * 2.0), X),
    "scalar": (lambda x: np.sin(x) * x, 0.5),
    "scan": (scanned, SMALL),
    "cond": (lambda x: fgrad.cond(x[0] > 0, np.sin, np.cos, x) * 2.0, SMALL),
    "gradient": (fgrad.grad(lambda x: np.sum(np.sin(x) ** 2)), SMALL),
    "guard": (branching, SMALL),
    "other guard": (branching, -SMALL - 1),
}


@pytest.mark.parametrize("name", CASES)
def test_profile(name: str, capsys: Any, tmp_path: Path) -> None:
    f, argument = CASES[name]
    jitted = fgrad.jit(f)
    file = tmp_path / "times.txt"
    out, lines = profiled(jitted, argument, file=file, capsys=capsys)
    expected = fgrad.tree.flatten(jitted(argument))[0]
    for one, other in zip(fgrad.tree.flatten(out)[0], expected, strict=True):
        np.testing.assert_allclose(one, other, 1e-12)
    assert " us a call in " in lines[0] and "mean of 3" in lines[0]
    assert any("test_explain.py:" in line for line in lines)
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    shares = [float(row[1]) for row in rows]
    assert rows and abs(sum(shares) - 100.0) < 0.06 * len(rows)
    stacks = [line.rsplit(" ", 1) for line in file.read_text().splitlines()]
    assert all(stack.count(";") == 2 for stack, _ in stacks)
    total = sum(int(count) for _, count in stacks)
    each = float(lines[0].split(": ")[1].split(" us")[0])
    assert abs(total / 3e3 - each) <= 1e-3 * each
    assert any("on NumPy scalars here" in line for line in lines) == (name == "scalar")


def test_profile_takes_the_path_of_the_call(capsys: Any) -> None:
    jitted = fgrad.jit(branching)
    for x, used, other in (
        (SMALL + 5, "np.sin", "np.cos"),
        (-SMALL - 5, "np.cos", "np.sin"),
    ):
        text = "\n".join(profiled(jitted, x, capsys=capsys)[1])
        assert used in text and other not in text


def test_profile_of_a_plain_function_and_keywords(capsys: Any) -> None:
    def f(x: Any, *, scale: Any) -> Any:
        return x * scale

    run = fgrad.profile(f, repeats=1)
    assert run.__name__ == "f"
    np.testing.assert_array_equal(run(SMALL, scale=2.0), SMALL * 2.0)
    assert "f: " in capsys.readouterr().out


def test_profile_of_nothing_and_of_traced_values() -> None:
    with pytest.raises(fgrad.errors.JitError, match="nothing to profile"):
        fgrad.profile(lambda: None)()
    run = fgrad.profile(lambda x: x * 2.0)
    with pytest.raises(fgrad.errors.JitError, match="traced values"):
        fgrad.grad(lambda x: run(x))(1.0)


def test_blocks_are_timed_on_one_thread(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("another thread")

    jitted = fgrad.jit(chain)
    jitted(LONG)
    monkeypatch.setattr(threads, "_pool", fail)
    _, lines = profiled(jitted, LONG, capsys=capsys)
    assert any("float64s[0]" in line for line in lines)
