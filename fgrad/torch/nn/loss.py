"""Losses as modules."""

from __future__ import annotations

import warnings
from typing import Any

from fgrad.torch.nn import functional as F
from fgrad.torch.nn.module import Module
from fgrad.torch.tensor import Tensor

LEGACY_ARGUMENTS = (
    "size_average and reduce args will be deprecated, please use reduction='{}' "
    "instead."
)


def reduction_of(size_average: Any, reduce: Any, reduction: str) -> str:
    """The reduction; ``size_average`` and ``reduce`` are its legacy names."""
    if size_average is None and reduce is None:
        return reduction
    found = "sum" if size_average is False else "mean"
    found = "none" if reduce is False else found
    warnings.warn(LEGACY_ARGUMENTS.format(found), UserWarning, stacklevel=3)
    return found


class _Loss(Module):
    """A loss of `fgrad.torch.nn.functional` with fixed options.

    A subclass gives the function, the options with their defaults, which of them are
    tensors, to be held as buffers, and the order of positional arguments.
    """

    function: Any
    options: dict[str, Any] = {}  # noqa: RUF012
    tensors: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        names = {*self.options, "size_average", "reduce", "reduction"}
        if len(args) > len(self.order) or not names.issuperset(kwargs):
            raise TypeError(
                f"{type(self).__name__}() takes {', '.join(self.order)} by place and "
                f"{', '.join(sorted(names))} by name; got {args} and {kwargs}"
            )
        given = dict(zip(self.order, args, strict=False)) | kwargs
        for name, default in self.options.items():
            value = given.get(name, default)
            if name in self.tensors:
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)
        legacy = (given.get("size_average"), given.get("reduce"))
        self.reduction = reduction_of(*legacy, given.get("reduction", "mean"))

    def forward(self, *inputs: Tensor) -> Any:
        values = {name: getattr(self, name) for name in self.options}
        return type(self).function(*inputs, **values, reduction=self.reduction)


LEGACY = "size_average reduce reduction"


def _module(
    name: str, function: Any, order: str, tensors: str = "", **options: Any
) -> Any:
    """A loss module of a function and its options."""
    fields = {
        "function": staticmethod(function),
        "options": dict.fromkeys(tensors.split()) | options,
        "tensors": tuple(tensors.split()),
        "order": tuple(order.split()),
        "__doc__": function.__doc__,
        "__module__": __name__,
    }
    return type(name, (_Loss,), fields)


MSELoss = _module("MSELoss", F.mse_loss, LEGACY)
L1Loss = _module("L1Loss", F.l1_loss, LEGACY)
SmoothL1Loss = _module("SmoothL1Loss", F.smooth_l1_loss, f"{LEGACY} beta", beta=1.0)
HuberLoss = _module("HuberLoss", F.huber_loss, "reduction delta", delta=1.0)
NLLLoss = _module(
    "NLLLoss",
    F.nll_loss,
    "weight size_average ignore_index reduce reduction",
    "weight",
    ignore_index=-100,
)
CrossEntropyLoss = _module(
    "CrossEntropyLoss",
    F.cross_entropy,
    "weight size_average ignore_index reduce reduction label_smoothing",
    "weight",
    ignore_index=-100,
    label_smoothing=0.0,
)
BCELoss = _module("BCELoss", F.binary_cross_entropy, f"weight {LEGACY}", "weight")
BCEWithLogitsLoss = _module(
    "BCEWithLogitsLoss",
    F.binary_cross_entropy_with_logits,
    f"weight {LEGACY} pos_weight",
    "weight pos_weight",
)
KLDivLoss = _module("KLDivLoss", F.kl_div, f"{LEGACY} log_target", log_target=False)
PoissonNLLLoss = _module(
    "PoissonNLLLoss",
    F.poisson_nll_loss,
    "log_input full size_average eps reduce reduction",
    log_input=True,
    full=False,
    eps=1e-8,
)
GaussianNLLLoss = _module(
    "GaussianNLLLoss", F.gaussian_nll_loss, "", full=False, eps=1e-6
)
SoftMarginLoss = _module("SoftMarginLoss", F.soft_margin_loss, LEGACY)
MultiMarginLoss = _module(
    "MultiMarginLoss",
    F.multi_margin_loss,
    f"p margin weight {LEGACY}",
    "weight",
    p=1,
    margin=1.0,
)
MultiLabelSoftMarginLoss = _module(
    "MultiLabelSoftMarginLoss",
    F.multilabel_soft_margin_loss,
    f"weight {LEGACY}",
    "weight",
)
HingeEmbeddingLoss = _module(
    "HingeEmbeddingLoss", F.hinge_embedding_loss, f"margin {LEGACY}", margin=1.0
)
CosineEmbeddingLoss = _module(
    "CosineEmbeddingLoss", F.cosine_embedding_loss, f"margin {LEGACY}", margin=0.0
)
MarginRankingLoss = _module(
    "MarginRankingLoss", F.margin_ranking_loss, f"margin {LEGACY}", margin=0.0
)
TripletMarginLoss = _module(
    "TripletMarginLoss",
    F.triplet_margin_loss,
    f"margin p eps swap {LEGACY}",
    margin=1.0,
    p=2.0,
    eps=1e-6,
    swap=False,
)
