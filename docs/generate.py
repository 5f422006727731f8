"""Write the pages that follow from the code: operations, functions, errors, rewrites.

Run ``python docs/generate.py``; a test compares the pages with what this prints.
"""

import inspect
import textwrap
from pathlib import Path

import numpy as np

import fgrad.functions.fourier  # noqa: F401  (otherwise imported on first use)
from fgrad import errors, identities
from fgrad.functions.protocol import FUNCTIONS, PRIMITIVES, UFUNCS
from fgrad.primitive import Primitive
from fgrad.rewrites import (
    bands,
    constants,
    factors,
    few,
    products,
    shapes,
    slots,
    steps,
    sums,
)

FOLDER = Path(__file__).parent


def derivative_form(prim):
    """How the record of a primitive gives its derivative."""
    if prim.derivs is not None:
        is_zero = all(deriv is None for deriv in prim.derivs)
        return "zero" if is_zero else "partial derivatives"
    if prim.linear is not None:
        return "linear, with its transpose"
    if prim.jvp is not None:
        return "tangent rule"
    return "constant result" if prim.is_constant or prim.name == "full" else "none"


def operations():
    """The page of primitives."""
    rows = [
        f"| `{name}` | {derivative_form(prim)} | {'yes' if prim.elementwise else ''} "
        f"| {len(prim.samples())} |"
        for name, prim in sorted(Primitive.registry.items())
    ]
    head = f"""
        # Operations

        The {len(rows)} primitives, from their records in `fgrad/ops/`. This page is
        made by `python docs/generate.py`. The last column counts the samples on which
        the table test runs the primitive.

        | primitive | derivative | elementwise | samples |
        |---|---|---|---|
    """
    return textwrap.dedent(head).lstrip() + "\n".join(rows) + "\n"


def numpy_names():
    """Names of the NumPy functions that work on traced values, by module."""
    modules = {"numpy": np, "numpy.linalg": np.linalg, "numpy.fft": np.fft}
    names = {name: set() for name in modules}
    for function in (*FUNCTIONS, *UFUNCS, *PRIMITIVES):
        name = getattr(function, "__name__", "")
        for known, module in modules.items():
            if getattr(module, name, None) is function:
                names[known].add(name)
    return names


def numpy_functions():
    """The page of NumPy functions."""
    head = """
        # NumPy functions

        The functions that work on traced values, called as `np.name` of plain NumPy or
        through `fgrad.numpy`. Any other function of traced values raises
        `UnsupportedFunctionError` by name. This page is made by
        `python docs/generate.py`.
    """
    parts = [textwrap.dedent(head).strip()]
    for module, names in numpy_names().items():
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        parts.append(f"## {module} ({len(names)})\n\n{textwrap.fill(listed, 88)}")
    return "\n\n".join(parts) + "\n"


def error_classes():
    """The public errors, in the order of their definition."""
    return [
        cls
        for cls in vars(errors).values()
        if inspect.isclass(cls)
        and issubclass(cls, errors.FgradError)
        and cls is not errors.FgradError
    ]


def as_markdown(docstring):
    """A docstring with its literal blocks as fenced code."""
    lines, fenced = [], False
    for line in inspect.cleandoc(docstring).splitlines():
        is_code = line.startswith("    ")
        if is_code and not fenced:
            lines.append("```py")
        if fenced and line and not is_code:
            while lines[-1] == "":
                lines.pop()
            lines += ["```", ""]
        fenced = is_code or (fenced and not line)
        text = line[4:] if is_code else line.replace("``", "`")
        lines.append(text[:-1] if text.endswith("::") else text)
    return "\n".join([*lines, "```"] if fenced else lines)


def error_page():
    """The page of errors."""
    head = """
        # Errors

        Every error that fgrad raises of its own accord, with a program that fails, the
        reason, and the program repaired. All are `fgrad.errors.FgradError`s and also
        the built-in error that Python users expect. This page is made by `python
        docs/generate.py`.
    """
    parts = [textwrap.dedent(head).strip()]
    for cls in error_classes():
        bases = ", ".join(base.__name__ for base in cls.__bases__[1:])
        parts.append(f"## {cls.__name__} ({bases})\n\n{as_markdown(cls.__doc__)}")
    return "\n\n".join(parts) + "\n"


def rule_rows(*tables):
    """Rows for the rules of tables (primitive name -> rules), each once."""
    rules = {
        rule: None for table in tables for found in table.values() for rule in found
    }
    lines = []
    for rule in rules:
        text = " ".join(inspect.cleandoc(rule.__doc__).replace("``", "`").split())
        lines.append(f"| `{rule.__name__}` | {text} |")
    return "| rule | what it does |\n|---|---|\n" + "\n".join(lines)


def module_text(module):
    return inspect.cleandoc(module.__doc__).replace("``", "`")


def rewrite_page():
    """The page of rules."""
    head = """
        # Rewrites

        What fgrad makes of a program before it runs. Each rule is a small function with
        texts before and after among the tests (`tests/test_identities.py`,
        `tests/test_optimise.py`). This page is made by `python docs/generate.py`.

        What is infinite or not a number stays one of the two; no rule takes `x / x` for
        1, or `0 * x` for 0. What a branch of a jitted function depends on is the same
        to the last bit as without rules.
    """
    exact = (
        {"any": constants.ANY},
        *(rules.EXACT for rules in (constants, shapes, few, slots, sums)),
    )
    parts = [
        textwrap.dedent(head).strip(),
        "## Local identities\n\nOf all programs, those that are read too. Results stay "
        "the same, but for the sign of\na zero and numbers at the ends of their type's "
        "range.",
        rule_rows(identities.RULES),
        "## Of jitted programs, with the same results",
        rule_rows(*exact),
        "## Of jitted programs, rounding elsewhere\n\nResults agree to 2 units in the "
        "last place for each term of a sum.",
        rule_rows(*(rules.ROUNDING for rules in (products, sums, few, factors))),
        f"## Unrolled loops\n\n{module_text(steps)}",
        f"## Jacobians\n\n{module_text(bands)}",
    ]
    return "\n\n".join(parts) + "\n"


PAGES = {
    "operations.md": operations,
    "numpy.md": numpy_functions,
    "errors.md": error_page,
    "rewrites.md": rewrite_page,
}


def main():
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
        print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
