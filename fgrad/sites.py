"""Where in the user's code something happened: captured cheaply, formatted late."""

import functools
import linecache
import os
import sys
from types import CodeType, FrameType
from typing import NamedTuple

import numpy as np

_LIBRARY_FOLDERS = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep for path in (__file__, np.__file__)
)


class Site(NamedTuple):
    """A line of the user's program."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"

    @property
    def text(self) -> str:
        """The source line itself, or an empty string where it is not at hand."""
        return linecache.getline(self.file, self.line).strip()


# jax's own files; it is not imported to be asked where they are
_JAX = os.path.join("jax", "_src") + os.sep


@functools.lru_cache(4096)
def is_library_file(file: str) -> bool:
    """Whether a file belongs to fgrad, NumPy or jax rather than to the user."""
    return file.startswith((*_LIBRARY_FOLDERS, "<fgrad")) or f"{os.sep}{_JAX}" in file


def user_site() -> Site | None:
    """The innermost line of the call stack that lies outside fgrad, NumPy and jax."""
    frame = _user_frame(sys._getframe(1))
    return None if frame is None else Site(frame.f_code.co_filename, frame.f_lineno)


def _user_frame(frame: FrameType | None) -> FrameType | None:
    """The frame itself, or the innermost of its callers, that is the user's."""
    while frame is not None and is_library_file(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


Place = tuple[CodeType, int]  # code, and how far it got


def user_place(skip: int) -> Place | None:
    """As `user_site`, for lines that are rarely shown: `site_of` finds the line.

    Args:
        skip: how many callers belong to fgrad for sure.
    """
    frame = _user_frame(sys._getframe(skip))
    return None if frame is None else (frame.f_code, frame.f_lasti)


def site_of(place: Place) -> Site:
    """The line of a place."""
    code, offset = place
    lines = (line for first, end, line in code.co_lines() if first <= offset < end)
    return Site(code.co_filename, next(lines, None) or code.co_firstlineno)


def at_site(site: Site | None) -> str:
    """``" at file.py:12: `y = f(x)`"``, or nothing."""
    return "" if site is None else f" at {site}: `{site.text}`"


def at_user_line() -> str:
    """``" (at file.py:12: `y = f(x)`)"`` for the end of an error message."""
    site = user_site()
    if site is None:
        return ""
    text = site.text
    return f" (at {site}: `{text}`)" if text else f" (at {site})"
