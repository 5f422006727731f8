"""Equations of control flow in programs that are read: no operand too many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nested_programs import programs

import fgrad
from fgrad.bodies import tighten


def before_and_after(before, after):
    before, after = fgrad.parse(before), fgrad.parse(after)
    assert str(fgrad.check(tighten(before))) == str(after)
    assert str(tighten(after)) == str(after)


def test_numbers_move_into_bodies():
    before_and_after(
        """{ lambda ; a:f64[] . let
             b:f64[] = while_loop[
               cond_consts=1, body_consts=2, max_steps=None,
               cond={ lambda ; a:int b:f64[] . let
                   c:bool[] = less b a
                 in (c,) },
               body={ lambda ; a:float b:float c:f64[] . let
                   d:f64[] = multiply c a
                   e:f64[] = add d b
                 in (e,) }
             ] 10 2.0 3.0 a
           in (b,) }""",
        """{ lambda ; a:f64[] . let
             b:f64[] = while_loop[
               cond_consts=0, body_consts=0, max_steps=None,
               cond={ lambda ; a:f64[] . let b:bool[] = less a 10 in (b,) },
               body={ lambda ; a:f64[] . let
                   b:f64[] = multiply a 2.0
                   c:f64[] = add b 3.0
                 in (c,) }
             ] a
           in (b,) }""",
    )


def test_operands_are_passed_once():
    before_and_after(
        """{ lambda ; a:f64[] b:f64[4] . let
             c:f64[] d:f64[4] = scan[
               consts=2, carry=1, length=4, reverse=False, residuals=0,
               body={ lambda ; a:f64[] b:f64[] c:f64[] d:f64[] e:f64[] . let
                   f:f64[] = multiply a d
                   g:f64[] = multiply b e
                   h:f64[] = add f g
                   i:f64[] = add c h
                 in (i,c,) }
             ] a a a b b
           in (c,d,) }""",
        """{ lambda ; a:f64[] b:f64[4] . let
             c:f64[] d:f64[4] = scan[
               consts=1, carry=1, length=4, reverse=False, residuals=0,
               body={ lambda ; a:f64[] b:f64[] c:f64[] . let
                   d:f64[] = multiply a c
                   e:f64[] = add d d
                   f:f64[] = add b e
                 in (f,b,) }
             ] a a b
           in (c,d,) }""",
    )


def test_what_no_branch_reads_is_dropped_with_its_equation():
    before_and_after(
        """{ lambda ; a:bool[] b:f64[] c:f64[3] . let
             d:f64[] = sin b
             e:f64[3] = cond[branches=(
                 { lambda ; a:f64[] b:f64[3] c:f64[3] d:int . let in (b,) },
                 { lambda ; a:f64[] b:f64[3] c:f64[3] d:int . let
                   e:f64[3] = multiply c d in (e,) })
             ] a d c c 2
           in (e,) }""",
        """{ lambda ; a:bool[] b:f64[] c:f64[3] . let
             e:f64[3] = cond[branches=(
                 { lambda ; b:f64[3] . let in (b,) },
                 { lambda ; c:f64[3] . let e:f64[3] = multiply c 2 in (e,) })
             ] a c
           in (e,) }""",
    )


def test_numbers_move_through_all_levels():
    before_and_after(
        """{ lambda ; a:f64[] . let
             b:f64[] = checkpoint[program={ lambda ; a:f64[] b:int c:f64[] . let
                 d:f64[] = checkpoint[program={ lambda ; a:f64[] b:int c:f64[] . let
                     d:f64[] = multiply a b
                   in (d,) }] a b c
               in (d,) }] a 3 a
           in (b,) }""",
        """{ lambda ; a:f64[] . let
             b:f64[] = checkpoint[program={ lambda ; a:f64[] . let
                 d:f64[] = checkpoint[program={ lambda ; a:f64[] . let
                     d:f64[] = multiply a 3
                   in (d,) }] a
               in (d,) }] a
           in (b,) }""",
    )


def test_numbers_as_results():
    program = fgrad.parse(
        """{ lambda ; a:f64[2] . let
             b:i64[2] = scan[
               consts=1, carry=0, length=2, reverse=False, residuals=0,
               body={ lambda ; a:int b:f64[] . let in (a,) }
             ] 7 a
           in (b,) }"""
    )
    tight = fgrad.check(tighten(program))
    assert "in (7,) }" in str(tight)
    assert str(tight(np.zeros(2))) == str(program(np.zeros(2))) == "[array([7, 7])]"


@given(programs(constants=False), st.booleans())
def test_random_programs_keep_their_values_and_derivatives(program, is_same):
    tight = fgrad.check(tighten(program))
    assert tighten(tight) == tight
    x, y = np.array([0.3, -0.2, 0.1]), np.array([1.1, 0.5, -0.7])
    if is_same:
        y = x
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(tight(x, y), program(x, y))
        for argument in (0, 1):
            first, second = (
                fgrad.vjp(lambda *p: fn(*p)[0], x, y)[1](y)[argument]
                for fn in (program, tight)
            )
            np.testing.assert_allclose(first, second, rtol=1e-9)


@pytest.mark.parametrize("transform", [fgrad.grad, fgrad.jacobian, fgrad.vmap])
def test_what_make_program_prints_runs_and_transforms(transform):
    def f(x):
        def step(carry, x):
            carry = fgrad.cond(
                carry > 0.5, lambda c: c * x * 2, lambda c: c + 3.0 * x, carry
            )
            return fgrad.checkpoint(lambda c: np.sin(c) + 1)(carry), carry

        last, steps = fgrad.scan(step, 0.25, x)
        return last * np.sum(steps)

    x = np.linspace(0.1, 1.0, 8).reshape(2, 4) if transform is fgrad.vmap else None
    x = np.linspace(0.1, 1.0, 5) if x is None else x
    program = fgrad.make_program(f)(x if x.ndim == 1 else x[0])
    expected = transform(f)(x)
    np.testing.assert_allclose(transform(lambda x: program(x)[0])(x), expected)
    derived = fgrad.make_program(transform(f))(x)
    assert fgrad.parse(str(derived)) == derived
    np.testing.assert_allclose(derived(x)[0], expected)
