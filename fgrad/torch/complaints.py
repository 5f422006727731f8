"""What errors of `backward` say: PyTorch's sentence, then the user's lines.

Operations of equal structure share the record of their first line. So a message says
"first recorded at", unless `fgrad.torch.strict` has each of them keep its own line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrad.sites import Site, at_site
from fgrad.torch.versions import SECOND_TIME, changed_text
from fgrad.torch.views import bare_name

if TYPE_CHECKING:
    from fgrad.torch.graph import Node
    from fgrad.torch.guards import Guard


def described(node: Node) -> str:
    """An operation and its line, such as ``MulBackward0 at train.py:3``."""
    name, site = type(node).__name__, at_site(node.site)
    if not site or node.is_own_site:
        return name + site
    return f"{name} (first recorded{site})"


def changed(node: Node, guard: Guard, origin: str) -> str:
    """PyTorch's error where saved memory was changed, and the lines of both.

    Args:
        node: the operation that saved it.
        guard: what was saved.
        origin: the name of the operation that gave the tensor; empty for a leaf.
    """
    storage, version, aval, *_ = guard
    text = changed_text(storage, version, aval, bare_name(origin))
    text += f"\nIt was saved by {described(node)}"
    if isinstance(storage.written_at, Site):
        text += f", and changed{at_site(storage.written_at)}"
    return f"{text}."


def second_time(node: Node) -> str:
    """PyTorch's error where saved values were freed, and the lines of both."""
    return freed(node.freed_at, described(node))


def freed(site: Site | None, saver: str = "the graph") -> str:
    """As `second_time`, where it is not known which operation missed them first."""
    by = f"the backward pass{at_site(site)}"
    return f"{SECOND_TIME}\nWhat {saver} saved was freed by {by}."
