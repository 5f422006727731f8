"""The IR: text form, parser, check, structural key, evaluation, pictures, passes."""

import shutil

import numpy as np
import pytest

import fgrad
from fgrad.errors import ProgramError
from fgrad.form import names
from fgrad.ir import Eqn, Lit, Program, Var
from fgrad.ops.elementwise import add, multiply
from fgrad.ops.transcendental import sin
from fgrad.passes import cse, dce
from fgrad.simplification import simplify
from fgrad.transforms.sink import sink_selects


def example(x, y):
    z = np.sin(x) * y
    return np.sum(z[1:] ** 3), {"mean": np.mean(z)}


ARGUMENTS = np.linspace(0.0, 1.0, 4), 2.0
TEXT = """\
{ lambda ; a:f64[4] b:f64[] . let
    c:f64[4] = sin a
    d:f64[4] = multiply c b
    e:f64[3] = index[at=((1, None, None),)] d
    f:f64[3] = scalar_power[exponent=3] e
    g:f64[] = sum[axis=(0,)] f
    h:f64[] = sum[axis=(0,)] d
    i:f64[] = divide h 4
  in (g,i,) }"""


def test_text_form():
    assert str(fgrad.make_program(example)(*ARGUMENTS)) == TEXT


def test_text_parses_back():
    program = fgrad.make_program(example)(*ARGUMENTS)
    parsed = fgrad.parse(str(program))
    assert parsed == program and hash(parsed) == hash(program)
    assert str(parsed) == TEXT


def test_parse_every_kind_of_param_and_literal():
    constant = np.arange(3.0)

    def f(x):
        y = x * constant + 1 - 2.5 + np.inf
        y = y + (1 + 2j) * True
        return y.astype(np.complex64), x[None, ..., ::-1], x[np.array([0, 2])]

    program = fgrad.make_program(f)(np.ones(3, np.float32))
    assert fgrad.parse(str(program)) == program


def test_key_tells_programs_apart():
    def program(f, size=3):
        return fgrad.make_program(f)(np.ones(size))

    assert program(lambda x: x * 2) == program(lambda x: x * 2)
    assert program(lambda x: x * 2) != program(lambda x: x * 2.0)
    assert program(lambda x: x * 2) != program(lambda x: x * 3)
    assert program(lambda x: x * 2) != program(lambda x: x * 2, 4)
    assert program(lambda x: x[1:]) != program(lambda x: x[2:])


def test_constants_are_arguments():
    captured = np.array([1.0, 2.0])
    program = fgrad.make_program(lambda x: x * captured + captured)(np.ones(2))
    assert len(program.consts) == 1
    assert program.values[0] is not None
    assert np.array_equal(program(np.ones(2))[0], [2.0, 4.0])


def test_programs_evaluate_and_trace():
    program = fgrad.make_program(example)(*ARGUMENTS)
    value, aux = example(*ARGUMENTS)
    results = program(*ARGUMENTS)
    assert results == [value, aux["mean"]]
    through = fgrad.grad(lambda x: program(x, 2.0)[0])(ARGUMENTS[0])
    direct = fgrad.grad(lambda x: example(x, 2.0)[0])(ARGUMENTS[0])
    assert np.array_equal(through, direct)
    with pytest.raises(ProgramError, match="takes 2 arguments"):
        program(1.0)


def test_check_accepts_derived_programs():
    program = fgrad.make_program(fgrad.grad(lambda x: example(x, 2.0)[0]))(np.ones(4))
    assert fgrad.check(program) is program


def test_check_finds_malformed_programs():
    x, y = Var(fgrad.Aval((3,), "float64")), Var(fgrad.Aval((3,), "float64"))
    wrong = Var(fgrad.Aval((4,), "float64"))
    unbound = Program([], [Eqn(sin, (x,), (), (y,))], [y])
    with pytest.raises(ProgramError, match="before it is bound"):
        fgrad.check(unbound)
    mistyped = Program([x], [Eqn(sin, (x,), (), (wrong,))], [wrong])
    with pytest.raises(ProgramError, match="expected"):
        fgrad.check(mistyped)
    eqn = Eqn(sin, (x,), (), (y,))
    with pytest.raises(ProgramError, match="bound twice"):
        fgrad.check(Program([x], [eqn, eqn], [y]))
    with pytest.raises(ProgramError, match="among the outputs"):
        fgrad.check(Program([x], [], [y]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "form"),
        ("{ lambda ; a:f64[3] . let\n b:f64[3] = nosuch a\n in (b,) }", "nosuch"),
        ("{ lambda ; a:f64[3] . let\n b:f64[3] = sin c\n in (b,) }", "before it is"),
        ("{ lambda ; a:f64[3] . let\n b:g64[3] = sin a\n in (b,) }", "not a type"),
        ("{ lambda ; a:f64[3] . let\n a:f64[3] = sin a\n in (a,) }", "bound twice"),
        ("{ lambda ; a:f64[3] . let\n b:f64[4] = sin a\n in (b,) }", "expected"),
    ],
)
def test_parse_errors(text, message):
    with pytest.raises(ProgramError, match=message):
        fgrad.parse(text)


def test_names_are_unique():
    generator = names()
    first = [next(generator) for _ in range(2000)]
    assert len(set(first)) == 2000
    assert first[25:28] == ["z", "aa", "ab"]


def test_pictures():
    program = fgrad.make_program(example)(*ARGUMENTS)
    html = program._repr_html_()
    assert html.count("<span") == len(program.eqns)
    assert "test_ir.py" in html
    dot = program.dot()
    assert dot.startswith("digraph") and dot.count("shape=box") == len(program.eqns)
    if shutil.which("dot"):
        assert "<svg" in program.svg()
    else:
        with pytest.raises(FileNotFoundError):
            program.svg()


def before_and_after(transform, before, after):
    assert str(transform(fgrad.parse(before))) == str(fgrad.parse(after))


def test_dce():
    before_and_after(
        dce,
        """{ lambda ; a:f64[] . let
             b:f64[] = sin a
             c:f64[] = cos a
           in (c,) }""",
        """{ lambda ; a:f64[] . let
             c:f64[] = cos a
           in (c,) }""",
    )


def test_cse():
    before_and_after(
        cse,
        """{ lambda ; a:f64[] . let
             b:f64[] = sin a
             c:f64[] = sin a
             d:f64[] = multiply b c
           in (d,) }""",
        """{ lambda ; a:f64[] . let
             b:f64[] = sin a
             d:f64[] = multiply b b
           in (d,) }""",
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("b:f64[2] = multiply a 1\n c:f64[2] = sin b", "c:f64[2] = sin a"),
        ("b:f64[2] = divide a 1.0\n c:f64[2] = sin b", "c:f64[2] = sin a"),
        (
            "b:f64[2] = negative a\n c:f64[2] = negative b\n d:f64[2] = sin c",
            "d:f64[2] = sin a",
        ),
        (
            "b:f64[1,2] = reshape[shape=(1, 2)] a\n"
            "c:f64[2] = reshape[shape=(2,)] b\n d:f64[2] = sin c",
            "d:f64[2] = sin a",
        ),
        (
            "b:f64[2] = full[shape=(2,), dtype='float64', value=3.0]\n"
            "c:f64[2] = multiply b a",
            "c:f64[2] = multiply 3.0 a",
        ),
        (
            "b:f64[2] = full[shape=(2,), dtype='float64', value=3.0]\n"
            "c:f64[2] = multiply b 2\n d:f64[2] = add c a",
            "d:f64[2] = add 6.0 a",
        ),
    ],
)
def test_simplify(before, after):
    def program(lines):
        out = lines.strip().splitlines()[-1].strip().split(":")[0]
        return f"{{ lambda ; a:f64[2] . let\n{lines}\nin ({out},) }}"

    before_and_after(lambda p: dce(simplify(p)), program(before), program(after))


def test_simplify_elides_broadcasts():
    before_and_after(
        lambda p: dce(simplify(p)),
        """{ lambda ; a:f64[3] b:f64[2,3] . let
             c:f64[2,3] = broadcast_to[shape=(2, 3)] a
             d:f64[2,3] = multiply c b
           in (d,) }""",
        """{ lambda ; a:f64[3] b:f64[2,3] . let
             d:f64[2,3] = multiply a b
           in (d,) }""",
    )


def test_sink_selects():
    before_and_after(
        lambda p: dce(sink_selects(p)),
        """{ lambda ; m:bool[3] a:f64[3] p:f64[3] . let
             b:f64[3] = where m a 0.0
             c:f64[3] = multiply b p
             d:f64[3] = negative c
           in (d,) }""",
        """{ lambda ; m:bool[3] a:f64[3] p:f64[3] . let
             c:f64[3] = multiply a p
             d:f64[3] = negative c
             e:f64[3] = where m d 0.0
           in (e,) }""",
    )


def test_equation_counts_of_key_gradients():
    def count(f, *args):
        return len(fgrad.make_program(fgrad.grad(f))(*args).eqns)

    x = np.linspace(0.1, 1.0, 5)
    assert count(lambda x: np.sum(np.sin(x)), x) == 1
    assert count(lambda x: np.sum(x), x) <= 1
    assert count(lambda x: np.sum(x * x), x) <= 1
    assert count(lambda x: np.sum(np.tanh(x)), x) <= 3
    assert count(lambda x: np.mean(np.exp(x)), x) <= 2
    matrix = np.ones((5, 5))
    assert count(lambda x: np.sum((matrix @ x) ** 2), x) <= 4


def test_literals_keep_their_type():
    x = Var(fgrad.Aval((), "float32"))
    y = Var(fgrad.Aval((), "float32"))
    program = Program([x], [Eqn(multiply, (x, Lit(2.0)), (), (y,))], [y])
    assert fgrad.check(program)(np.float32(3))[0].dtype == np.float32
    assert add.infer([fgrad.Aval((), "int64"), Lit(1.5).aval], {}) == (
        fgrad.Aval((), "float64"),
    )
