"""Errors of rules: the class, the advice, both structures, the user's line."""

from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad.errors import CustomRuleError

X = np.array([0.3, -0.5, 0.9])


def complaint(function: Any, *args: Any) -> str:
    with pytest.raises(CustomRuleError) as info:
        function(*args)
    text = str(info.value)
    assert "test_custom_errors.py" in text, text
    return text


def total(f: Any) -> Any:
    return fgrad.grad(lambda *xs: np.sum(fgrad.tree.flatten(f(*xs))[0][0]))


def with_jvp(rule: Any, body: Any = np.sin) -> Any:
    f = fgrad.custom_jvp(body)
    f.defjvp(rule)
    return total(f)


def with_vjp(fwd: Any, bwd: Any, body: Any = np.sin) -> Any:
    f = fgrad.custom_vjp(body)
    f.defvjp(fwd, bwd)
    return total(f)


def with_bwd(bwd: Any) -> Any:
    return with_vjp(lambda x: (np.sin(x), x), bwd)


def test_no_rule() -> None:
    def named(x):
        return x

    for decorator in (fgrad.custom_jvp, fgrad.custom_vjp):
        f = decorator(named)
        for call in (fgrad.grad(f), f, fgrad.vmap(f)):
            text = complaint(call, X[:1])
            assert "named" in text
            assert "defjvp" in text or "defvjp" in text
    assert "defvjp" in complaint(fgrad.custom_vjp(named), 1.0)


@pytest.mark.parametrize("value", [1.0, (X,), [X, X], (X, X, X), {"a": X}])
def test_rules_that_return_no_pair(value: Any) -> None:
    for f in (with_jvp(lambda p, t: value), with_vjp(lambda x: value, None)):
        text = complaint(f, X)
        assert "pair" in text and "sin" in text
        assert "jvp rule" in text or "forward rule" in text


def test_tangents_of_another_type() -> None:
    cases = {
        "f64[2]": lambda p, t: (p[0], t[0][:2]),
        "f32[3]": lambda p, t: (p[0], t[0].astype("float32")),
        "f64[]": lambda p, t: (p[0], np.sum(t[0])),
        "PyTreeSpec": lambda p, t: (p[0], t),
        "None": lambda p, t: (p[0], None),
    }
    for found, rule in cases.items():
        text = complaint(with_jvp(rule), X)
        assert found in text and "the jvp rule of sin" in text
        assert "f64[3]" in text or "PyTreeSpec(*" in text


def test_cotangents_of_another_type() -> None:
    cases = {
        "f64[2]": lambda r, ct: (ct[:2],),
        "f32[3]": lambda r, ct: (ct.astype("float32"),),
        "c128[3]": lambda r, ct: (ct * 1j,),
        "PyTreeSpec": lambda r, ct: ((ct,),),
    }
    for found, rule in cases.items():
        text = complaint(with_bwd(rule), X)
        assert found in text and "the backward rule of sin" in text
        assert "argument 0" in text
        assert "f64[3]" in text or "PyTreeSpec(*" in text


def test_wrong_number_of_cotangents() -> None:
    text = complaint(with_bwd(lambda r, ct: ct), X)
    assert "tuple" in text and "1 argument" in text and "Tracer" not in text
    text = complaint(with_bwd(lambda r, ct: (ct, ct)), X)
    assert "1 argument" in text and "2" in text
    text = complaint(with_bwd(lambda r, ct: ()), X)
    assert "0" in text


def test_none_where_a_cotangent_is_needed() -> None:
    text = complaint(with_bwd(lambda r, ct: (None,)), X)
    assert "None" in text and "argument 0" in text and "np.zeros_like" in text


def test_forward_rule_against_the_function() -> None:
    """In a body of types alone the two can be compared."""
    f = fgrad.custom_vjp(np.sin)
    f.defvjp(lambda x: ((x, x), None), lambda r, ct: (ct[0],))
    text = complaint(fgrad.grad(fgrad.checkpoint(lambda x: np.sum(f(x)))), X)
    assert "forward rule of sin" in text and "function itself" in text


def test_closing_over_traced_values() -> None:
    def jvp_function(a):
        f = fgrad.custom_jvp(lambda x: a * x)
        f.defjvp(lambda p, t: (f(*p), t[0]))
        return f(a * 2.0)

    def jvp_rule(a):
        f = fgrad.custom_jvp(lambda x: x * 1.0)
        f.defjvp(lambda p, t: (f(*p), a * t[0]))
        return f(a * 2.0)

    def vjp_function(a):
        f = fgrad.custom_vjp(lambda x: a * x)
        f.defvjp(lambda x: (a * x, None), lambda r, ct: (ct,))
        return f(a * 2.0)

    def vjp_residual(a):
        f = fgrad.custom_vjp(lambda x: x * 1.0)
        f.defvjp(lambda x: (x * 1.0, a), lambda r, ct: (ct * r,))
        return f(a * 2.0)

    def vjp_rule(a):
        f = fgrad.custom_vjp(lambda x: x * 1.0)
        f.defvjp(lambda x: (x * 1.0, None), lambda r, ct: (a * ct,))
        return f(a * 2.0)

    def external_rule(a):
        f = fgrad.external(np.sin, lambda x: x, vjp=lambda ct, y, x: (a * ct,))
        return f(a * 2.0)

    cases = jvp_function, jvp_rule, vjp_function, vjp_residual, vjp_rule, external_rule
    for f in cases:
        for derive in (fgrad.grad, lambda f: lambda x: fgrad.jvp(f, (x,), (x,))):
            text = complaint(derive(f), 2.0)
            assert "closes over a traced value" in text
            assert "pass it as an argument" in text


def test_closing_over_traced_values_in_bodies() -> None:
    def scanned(a):
        f = fgrad.custom_jvp(lambda x: a * x)
        f.defjvp(lambda p, t: (f(*p), t[0]))
        return fgrad.scan(lambda c, _: (f(c), None), 1.0, None, length=2)[0]

    assert "closes over" in complaint(fgrad.grad(scanned), 2.0)


def test_closing_over_what_is_not_mapped() -> None:
    def outer(a, x):
        f = fgrad.custom_jvp(lambda x: a * x)
        f.defjvp(lambda p, t: (f(*p), 5 * a * t[0]))
        return f(x)

    by_row = fgrad.vmap(fgrad.grad(lambda x: outer(2.0, x)))
    np.testing.assert_allclose(by_row(X), 10.0)
    np.testing.assert_allclose(fgrad.vmap(outer, in_axes=(0, None))(X, 2.0), 2 * X)
    assert "closes over" in complaint(fgrad.vmap(outer), X, X)


def test_traced_values_in_nondiff_argnums() -> None:
    f = fgrad.custom_jvp(lambda k, x: k * x, nondiff_argnums=(0,))
    f.defjvp(lambda k, p, t: (f(k, *p), k * t[0]))
    text = complaint(fgrad.grad(lambda x: f(x, x)), 1.0)
    assert "nondiff_argnums" in text and "another argument" in text
    text = complaint(fgrad.grad(lambda x: f({"k": x}, 2.0)), 1.0)
    assert "nondiff_argnums" in text
    text = complaint(fgrad.vmap(lambda x: f(x, x)), X)
    assert "nondiff_argnums" in text


def test_positions_that_do_not_exist() -> None:
    f = fgrad.custom_vjp(lambda x: x, nondiff_argnums=(1,))
    f.defvjp(lambda x: (x, None), lambda k, r, ct: (ct,))
    text = complaint(fgrad.grad(f), 1.0)
    assert "nondiff_argnums=(1,)" in text and "1 argument" in text


def test_arguments_and_results_that_are_no_arrays() -> None:
    f = fgrad.custom_jvp(lambda s, x: x)
    f.defjvp(lambda p, t: (p[1], t[1]))
    for other in ("name", np.sin, object()):
        text = complaint(fgrad.grad(lambda x: f(other, x)), 1.0)
        assert "nondiff_argnums" in text and type(other).__name__ in text
    text = complaint(with_jvp(lambda p, t: (p, t), lambda x: "name"), 1.0)
    assert "str 'name'" in text and "result" in text
    text = complaint(with_vjp(lambda x: (x, "name"), None), 1.0)
    assert "str 'name'" in text and "residuals" in text


def test_keyword_only_arguments() -> None:
    def f(x, *, k=2.0):
        return k * x

    f = fgrad.custom_jvp(f)
    f.defjvp(lambda p, t: (f(*p), 2.0 * t[0]))
    assert fgrad.grad(f)(1.0) == 2.0
    text = complaint(fgrad.grad(lambda x: f(x, k=3.0)), 1.0)
    assert "k by keyword only" in text


def test_defjvps_with_nondiff_argnums() -> None:
    f = fgrad.custom_jvp(lambda k, x: x, nondiff_argnums=(0,))
    text = complaint(f.defjvps, lambda t, out, x: t)
    assert "defjvp" in text


def test_a_rule_for_each_argument() -> None:
    f = fgrad.custom_jvp(lambda x, y: x * y)
    f.defjvps(lambda t, out, x, y: t * y)
    text = complaint(fgrad.grad(f), 1.0, 2.0)
    assert "defjvps" in text and "2 arguments" in text
