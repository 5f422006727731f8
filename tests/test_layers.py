"""Imports point one way, and what ships needs NumPy and optree only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "fgrad"
LAYERS = [  # lower layers first; a module may import from its own layer and below
    ["sites", "caches", "checks", "threads"],
    ["errors", "form", "draw"],
    ["tree"],
    ["ir"],
    ["primitive"],
    ["text", "path", "constants"],
    ["tracer"],
    ["trace"],
    ["fast"],
    ["identities"],
    ["passes", "simplification", "bodies"],
    ["rewrites"],
    ["record"],
    ["ops"],
    ["inplace"],
    ["transforms.jvp", "transforms.sink"],
    ["transforms.vjp", "transforms.__init__"],
    ["lower"],
    ["transforms.vmap", "transforms.curvature"],
    ["transforms.tape"],
    ["control", "debug"],
    ["arguments", "signature"],
    ["statics"],
    ["compiled"],
    ["xla"],
    ["exporting", "explain"],
    ["mapping", "api", "programs", "jitting"],
    ["jacobians", "profiling"],
    ["functions"],
    ["numpy"],
    ["__init__"],
    ["testing", "torch"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ALLOWED = {"numpy", "optree"}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def layer(name):
    """The rank of the longest prefix of a module's name that is in a layer."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        prefix = ".".join(parts[:end])
        if prefix in RANK:
            return RANK[prefix]
    raise AssertionError(f"fgrad.{name} is in no layer of tests/test_layers.py")


def imports(path):
    """Top-level imports outside TYPE_CHECKING blocks, as full names."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "fgrad":
            yield from (f"fgrad.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_down(path):
    own = layer(module_name(path))
    for name in imports(path):
        if name.startswith("fgrad."):
            target = name.removeprefix("fgrad.")
            assert layer(target) <= own, f"{module_name(path)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_numpy_and_optree_are_needed(path):
    standard = set(__import__("sys").stdlib_module_names)
    for name in imports(path):
        top = name.partition(".")[0]
        assert top in standard | ALLOWED | {"fgrad"}, name


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_imports_inside_functions_but_jax(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    names = [alias.name for alias in inner.names]
                    module = getattr(inner, "module", None) or names[0]
                    assert module.startswith("jax"), f"{module_name(path)}: {module}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 400
