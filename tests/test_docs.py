"""README, docs, docstrings and examples are executed; generated pages match."""

import doctest
import importlib
import importlib.util
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fgrad
import fgrad.torch as torch
from fgrad.primitive import Primitive

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fgrad.__path__, "fgrad.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_run(page):
    scope = {}
    try:
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            exec(compile(block, str(page), "exec"), scope)
    finally:
        Primitive.registry.pop("my_tanh", None)


def test_readme_prints_what_it_says(capsys):
    text = (ROOT / "README.md").read_text()
    shown = re.search(r"```text\n(.*?)```", text, re.DOTALL).group(1)
    gradient = fgrad.grad(lambda x: np.sum(np.sin(x) ** 2))
    assert shown.strip() == str(fgrad.make_program(gradient)(np.ones(3)))


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    scope = {**vars(module), "np": np, "fgrad": fgrad}
    if name.startswith("fgrad.torch"):
        scope |= {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    for test in finder.find(module, name, globs=scope):
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_public_functions_have_examples():
    for name in fgrad.__all__:
        item = getattr(fgrad, name)
        if callable(item) and not isinstance(item, type):
            assert ">>>" in (item.__doc__ or "") or name == "check", name


def load_generator():
    spec = importlib.util.spec_from_file_location(
        "generate", ROOT / "docs" / "generate.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_match_the_code():
    generate = load_generator()
    for name, page in generate.PAGES.items():
        written = (ROOT / "docs" / name).read_text()
        assert written == page(), f"run `python docs/generate.py` for docs/{name}"


def run_example(name, *arguments):
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_digits_example_reaches_its_accuracy(tmp_path):
    out = run_example("digits.py", "--epochs", "15", "--output", str(tmp_path))
    accuracy = float(re.search(r"test accuracy: ([\d.]+)%", out).group(1))
    assert accuracy >= 95.0
    assert (tmp_path / "digits.png").stat().st_size > 1000


def test_minimise_example_finds_the_minimum():
    out = run_example("minimise.py")
    energies = re.findall(r"energy (-?[\d.]+) J", out)
    assert len(energies) == 2 and energies[0] == energies[1]


def test_scipy_solver_example_recovers_the_field():
    out = run_example("scipy_solver.py")
    assert "agrees with central differences" in out
    assert float(re.search(r"largest relative error: ([\d.]+)%", out).group(1)) < 5


def test_implicit_root_example_agrees_with_the_closed_form():
    out = run_example("implicit_root.py")
    assert len(re.findall(r"relative error \d", out)) == 6


def test_examples_are_named():
    for example in (ROOT / "examples").glob("*.py"):
        assert f"examples/{example.name}" in (ROOT / "README.md").read_text()
        assert f"examples/{example.name}" in (ROOT / ".ci" / "run").read_text()
