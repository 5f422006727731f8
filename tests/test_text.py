"""The text form of programs that hold programs, its parser, and pictures of them."""

import numpy as np
import pytest
from hypothesis import given
from nested_programs import programs

import fgrad
from fgrad.errors import ProgramError
from fgrad.ir import Aval, Eqn, Program, Var
from fgrad.primitive import Primitive

NESTED = """\
{ lambda ; a:f64[] b:bool[] . let
    c:f64[] d:f64[4] = scan[
        consts=1, carry=1, length=4, reverse=False, residuals=0,
        body={ lambda ; a:bool[] b:f64[] . let
            c:f64[] = cond[
                branches=(
                  { lambda ; a:f64[] . let
                    in (a,) },
                  { lambda ; a:f64[] . let
                      b:f64[] = sin a
                      c:f64[] = multiply b 2.0
                    in (c,) },
                )
              ] a b
          in (c,1.5,) }
      ] b a
    e:f64[] = while_loop[
        cond_consts=0, body_consts=0, max_steps=None,
        cond={ lambda ; a:f64[] . let
            b:bool[] = less a 1
          in (b,) },
        body={ lambda ; a:f64[] . let
            b:f64[] = checkpoint[
                program={ lambda ; a:f64[] . let
                    b:f64[] = exp a
                  in (b,) }
              ] a
          in (b,) }
      ] c
  in (e,d,) }"""


def test_nested_programs_print_and_parse():
    program = fgrad.parse(NESTED)
    assert str(program) == NESTED
    assert fgrad.check(program) is program


def test_line_ends_are_spaces():
    assert fgrad.parse(" ".join(NESTED.split())) == fgrad.parse(NESTED)


def test_equations_without_outputs():
    text = """\
{ lambda ; a:f64[] . let
    print[format='say[it], print a'] a
    print[format=''] a 2.0
    b:f64[] = sin a
    print[format=''] b
  in (a,) }"""
    program = fgrad.parse(text)
    assert str(program) == text and len(program.eqns) == 4
    assert fgrad.parse(" ".join(text.split())) == program
    printing = fgrad.make_program(lambda x: fgrad.print("x = {}", x))(1.0)
    with pytest.raises(ProgramError, match="the param format of print is no literal"):
        fgrad.parse(str(printing))


def test_order_of_params_does_not_matter():
    x, y, z = (Var(Aval((2, 3), "float64")) for _ in range(3))
    params = (("axis", (0,)), ("keepdims", False))
    multiply = Primitive.registry["multiply"]
    first, second = (
        Program([x, y], [Eqn(multiply, (x, y), items, (z,))], [z])
        for items in (params, params[::-1])
    )
    assert first == second and hash(first) == hash(second)


def test_params_without_a_text_form():
    x, y = Var(Aval((), "float64")), Var(Aval((), "float64"))
    sin = Primitive.registry["sin"]
    rules = (len, lambda x: [x, (1, "a,]")])
    for value in (np.sin, rules[1], rules, {"a": 1}, object()):
        params = (("axis", 1), ("rule", value), ("last", "it's"))
        text = str(Program([x], [Eqn(sin, (x,), params, (y,))], [y]))
        assert repr(value) in text
        if value != {"a": 1}:
            with pytest.raises(ProgramError, match="the param rule of sin is no liter"):
                fgrad.parse(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("b:f64[] = exp a", "b:f64[2] = exp a", "expected.*in program in equation 0"),
        ("b:f64[] = exp a", "b:f64[] = exp c", "the variable c is used before"),
        ("b:f64[] = sin a", "b:f64[] = nosuch a", "no primitive 'nosuch'"),
        ("b:f64[] = sin a", "b:f64[] sin a", "'b:f64.. sin a' is not an equation"),
        ("multiply b 2.0", "multiply b 2.0.1", "'2.0.1' is neither a variable nor"),
        ("length=4", "length=(4", "the param length of scan"),
        ("length=4", "length", "name=value"),
        ("] b a", "] a b", "do not have the types .* in equation 0 .scan"),
        ("length=4, ", "", "'length', in equation 0 .scan"),
        ("less a 1", "less a", "arguments.*, in equation 0 .less., in cond in equ"),
        ("exp a", "exp cos", "the variable cos is used before"),
        ("branches=(", "branches=", "name=value|unbalanced"),
        ("in (e,d,) }", "in (e,d,) } }", "after the end"),
        ("in (e,d,) }", "", "form"),
    ],
)
def test_errors_in_nested_programs(old, new, message):
    assert old in NESTED
    with pytest.raises(ProgramError, match=message):
        fgrad.parse(NESTED.replace(old, new))


def test_pictures_of_nested_programs():
    program = fgrad.parse(NESTED)
    html = program._repr_html_()
    assert html.count("<span") == len(NESTED.splitlines()) - 2
    dot = program.dot()
    assert dot.count("shape=box") == 8
    assert dot.count("{") == dot.count("}") == 1 + 4 + 6  # equations and programs
    names = [line.split()[0] for line in dot.splitlines() if "[label=" in line]
    assert len(names) == len(set(names))
    labels = [line for line in dot.splitlines() if "label=" in line]
    assert max(map(len, labels)) < 150


@given(programs())
def test_random_nesting_prints_and_parses(program):
    text = str(fgrad.check(program))
    parsed = fgrad.parse(text)
    assert parsed == program and hash(parsed) == hash(program)
    assert str(parsed) == text
    assert fgrad.parse(" ".join(text.split())) == program
    assert program.dot().count("subgraph") <= text.count("[") + text.count("{")
