"""All the source of one path: its function, and that for NumPy's answers."""

from fgrad import tree
from fgrad.lower.function import (
    Layout,
    Lines,
    Mode,
    Names,
    PathWriter,
    body_writer,
    path_function,
)
from fgrad.lower.scalars import ScalarWriter, is_scalar, scalar_function
from fgrad.lower.statements import Globals


def path_source(
    layout: Layout,
    name: str,
    names: Names,
    treedef: tree.TreeDef,
    mode: Mode,
    known: Globals,
) -> Lines:
    """The lines of a path's function; what they refer to is added to ``known``."""
    body_writer(known)
    lines: Lines = []
    if is_scalar(layout.program):
        writer = ScalarWriter(layout, names, name, known, mode)
        lines = [*scalar_function(writer, treedef), "", ""]
        name = writer.numpy
    plain = PathWriter(layout, names, name, known, mode)
    return [*lines, *path_function(plain, treedef)]
