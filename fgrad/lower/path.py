"""All the source of one path: its function, and that for NumPy's answers."""

from fgrad import tree
from fgrad.lower.function import Layout, Lines, Mode, Names, body_writer, path_lines
from fgrad.lower.scalars import is_scalar, scalar_lines
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
    if not is_scalar(layout.program):
        return path_lines(layout, name, names, treedef, mode, known)
    lines = scalar_lines(layout, name, names, treedef, mode, known)
    more = path_lines(layout, f"{name}_numpy", names, treedef, mode, known)
    return [*lines, "", "", *more]
