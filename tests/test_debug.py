"""Printing and looking for values that are not finite, under every transform."""

from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad.errors import NonFiniteError


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def shown(x: Any) -> Any:
    fgrad.print("x {}", x)
    return np.sin(x)


def test_print_in_a_gradient(capsys: Any) -> None:
    fgrad.grad(shown)(1.0)
    assert lines(capsys) == ["x 1.0"]


def test_print_of_trees_and_names(capsys: Any) -> None:
    fgrad.print("{0[a]} and {b:.1f}", {"a": np.float64(1.0)}, b=np.float64(2.0))
    assert lines(capsys) == ["1.0 and 2.0"]


def test_print_of_each_element(capsys: Any) -> None:
    fgrad.vmap(shown)(np.array([1.0, 2.0]))
    assert lines(capsys) == ["x 1.0", "x 2.0"]
    fgrad.vmap(fgrad.grad(shown))(np.array([1.0, 2.0]))
    assert lines(capsys) == ["x 1.0", "x 2.0"]


def looped(x: Any) -> Any:
    def step(total: Any, k: Any) -> Any:
        fgrad.print("step {}", k)
        return total * x, None

    return fgrad.scan(step, 1.0, np.array([0, 1]))[0]


def test_print_in_loops_once_for_each_step(capsys: Any) -> None:
    looped(2.0)
    assert lines(capsys) == ["step 0", "step 1"]
    fgrad.grad(looped)(2.0)
    assert lines(capsys) == ["step 0", "step 1"]
    fgrad.jvp(looped, (2.0,), (1.0,))
    assert lines(capsys) == ["step 0", "step 1"]
    fgrad.vmap(looped)(np.ones(2))
    assert lines(capsys) == ["step 0", "step 1"]


def test_a_loop_that_only_prints(capsys: Any) -> None:
    fgrad.map(lambda k: fgrad.print("k {}", k), np.arange(2))
    assert lines(capsys) == ["k 0", "k 1"]


def test_equal_loops_that_print_both_run(capsys: Any) -> None:
    def f(x: Any) -> Any:
        y = fgrad.checkpoint(shown)(x)
        return y + fgrad.checkpoint(shown)(x)

    fgrad.scan(lambda c, _: (f(c), None), 1.0, length=1)
    assert lines(capsys) == ["x 1.0", "x 1.0"]


def test_print_in_the_branch_that_runs(capsys: Any) -> None:
    def body(c: Any, k: Any) -> Any:
        quiet = lambda: c
        loud = lambda: (fgrad.print("odd {}", k), c)[1]
        return fgrad.cond(k % 2 == 1, loud, quiet), None

    fgrad.grad(lambda x: fgrad.scan(body, x, np.arange(4))[0])(1.0)
    assert lines(capsys) == ["odd 1", "odd 3"]


def test_while_prints_in_each_step(capsys: Any) -> None:
    def body(x: Any) -> Any:
        fgrad.print("at {}", x)
        return x * 2.0

    fgrad.while_loop(lambda x: x < 4.0, body, 1.0)
    assert lines(capsys) == ["at 1.0", "at 2.0"]
    fgrad.jvp(lambda x: fgrad.while_loop(lambda x: x < 4.0, body, x), (1.0,), (1.0,))
    assert lines(capsys).count("at 1.0") == 1


def test_print_shows_in_programs() -> None:
    text = str(fgrad.make_program(shown)(fgrad.Aval((), "float64")))
    assert "print[format=<format 'x {}'>] a" in text


def test_print_cotangent(capsys: Any) -> None:
    def f(x: Any) -> Any:
        return np.sum(fgrad.print_cotangent(x * 2.0, "ct {}") ** 2)

    x = np.array([1.0, 3.0])
    np.testing.assert_array_equal(fgrad.grad(f)(x), 8 * x)
    assert lines(capsys) == ["ct [ 4. 12.]"]
    fgrad.vmap(fgrad.grad(f))(np.stack([x, 2 * x]))
    assert lines(capsys) == ["ct [ 4. 12.]", "ct [ 8. 24.]"]
    f(x)
    assert lines(capsys) == []


def test_print_cotangent_in_a_loop(capsys: Any) -> None:
    def step(c: Any, k: Any) -> Any:
        return fgrad.print_cotangent(c * k, "ct {}"), None

    fgrad.grad(lambda x: fgrad.scan(step, x, np.array([2.0, 3.0]))[0])(1.0)
    assert lines(capsys) == ["ct 1.0", "ct 3.0"]


def complaint(f: Any, *args: Any) -> str:
    with pytest.raises(NonFiniteError) as caught, fgrad.debug_nans():
        f(*args)
    return str(caught.value)


def test_first_value_forward() -> None:
    def f(x: Any) -> Any:
        y = x - 1.0
        return np.log(y) * 2.0

    text = complaint(fgrad.grad(f), 1.0)
    assert "infinity is the result of `f64[] = log f64[]`" in text
    assert "return np.log(y) * 2.0" in text


def test_first_value_backward() -> None:
    def f(x: Any) -> Any:
        y = np.sqrt(x)
        return np.sum(y * x)

    text = complaint(fgrad.grad(f), np.array([0.0, 1.0]))
    assert "NaN is the result of `f64[2] = divide" in text
    assert "`y = np.sqrt(x)`" in text


@pytest.mark.parametrize(
    "f",
    [
        fgrad.vmap(lambda x: np.log(x)),
        fgrad.vmap(fgrad.grad(lambda x: np.sqrt(x))),
        fgrad.grad(lambda x: np.sum(fgrad.vmap(np.sqrt)(x))),
        fgrad.hessian(lambda x: np.sum(x**0.5)),
        fgrad.jacfwd(np.sqrt),
        lambda x: fgrad.scan(lambda c, t: (np.log(c), None), x[0], length=2),
        fgrad.grad(lambda x: fgrad.checkpoint(lambda x: np.sum(np.sqrt(x)))(x)),
    ],
)
def test_every_construct_is_looked_at(f: Any) -> None:
    complaint(f, np.zeros(2))


def test_finite_programs_pass_and_give_the_same() -> None:
    f = lambda x: np.sum(np.where(x > 0, np.tanh(x), x) ** 2)
    x = np.array([-1.0, 2.0])
    with fgrad.debug_nans():
        inside = fgrad.grad(f)(x), fgrad.vmap(fgrad.grad(f))(x[:, None])
    np.testing.assert_array_equal(inside[0], fgrad.grad(f)(x))
    np.testing.assert_array_equal(inside[1], fgrad.vmap(fgrad.grad(f))(x[:, None]))


def test_infinities_of_the_user_pass() -> None:
    mask = np.array([0.0, -np.inf])
    with fgrad.debug_nans():
        fgrad.grad(lambda x: np.sum(np.maximum(x + mask, 0.0)))(np.ones(2))


def test_the_block_ends() -> None:
    with pytest.raises(NonFiniteError), fgrad.debug_nans():
        fgrad.grad(lambda x: np.sqrt(x))(0.0)
    with np.errstate(all="ignore"):
        assert fgrad.grad(lambda x: np.sqrt(x))(0.0) == np.inf
