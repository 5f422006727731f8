"""Where the path of gradients was cut: notes for the error of a later `backward`.

A tensor that does not require a gradient, though it comes from one that does, keeps a
note of the operation and of the user's line; so do tensors that are computed from it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fgrad.sites import Site, at_site, user_site

if TYPE_CHECKING:
    from fgrad.torch.tensor import Tensor

UNKNOWN = (
    "Nothing that it was computed from requires a gradient, as far as is known: what "
    "passed through item(), numpy() or torch.tensor() has no history."
)


Cut = tuple[str, Site | None]  # what cut the path, and where


def cut_off(result: Tensor, what: str, *operands: Any) -> Tensor:
    """The result, which notes whether an operation on these operands cut the path.

    Args:
        result: does not require a gradient.
        what: the operation, as the user calls it; or its node, ``ArgmaxBackward0``.
        operands: tensors, and others, which have no path.
    """
    for x in operands:
        if getattr(x, "_requires", False):
            result._cut = what, user_site()
        elif getattr(x, "_cut", None) is not None:
            result._cut = x._cut
    return result


def explain_cut(tensor: Tensor) -> str:
    """Why a tensor does not require a gradient, as a sentence."""
    cut = tensor._cut
    if cut is None:
        return UNKNOWN
    what, site = cut
    what = re.sub(r"Backward\d*$", "()", what)
    return f"The path of gradients was cut by {what}{at_site(site)}."
