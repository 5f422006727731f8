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

NLL_LOSS_2D = (
    "`NLLLoss2d` has been deprecated. Please use `NLLLoss` instead as a drop-in "
    "replacement and see https://pytorch.org/docs/main/nn.html#torch.nn.NLLLoss for "
    "more details."
)


def reduction_of(size_average: Any, reduce: Any, reduction: str) -> str:
    """The reduction; ``size_average`` and ``reduce`` are its legacy names."""
    if size_average is None and reduce is None:
        return reduction
    found = "sum" if size_average is False else "mean"
    found = "none" if reduce is False else found
    warnings.warn(LEGACY_ARGUMENTS.format(found), UserWarning, stacklevel=3)
    return found


class LossBase(Module):
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


_MORE = "    The loss `fgrad.torch.nn.functional.{}` as a module, with its options.\n"


def _module(
    name: str,
    function: Any,
    example: str,
    order: str,
    tensors: str = "",
    **options: Any,
) -> Any:
    """A loss module of a function and its options."""
    summary = function.__doc__.partition("\n")[0]
    fields = {
        "function": staticmethod(function),
        "options": dict.fromkeys(tensors.split()) | options,
        "tensors": tuple(tensors.split()),
        "order": tuple(order.split()),
        "__doc__": f"{summary}\n\n{_MORE.format(function.__name__)}{example}",
        "__module__": __name__,
    }
    return type(name, (LossBase,), fields)


MSELoss = _module(
    "MSELoss",
    F.mse_loss,
    """
    >>> nn.MSELoss()(torch.tensor([1.0, 2.0]), torch.zeros(2))
    tensor(2.5000)
    """,
    LEGACY,
)
L1Loss = _module(
    "L1Loss",
    F.l1_loss,
    """
    >>> nn.L1Loss(reduction="sum")(torch.tensor([1.0, -2.0]), torch.zeros(2))
    tensor(3.)
    """,
    LEGACY,
)
SmoothL1Loss = _module(
    "SmoothL1Loss",
    F.smooth_l1_loss,
    """
    >>> nn.SmoothL1Loss(beta=2.0)(torch.tensor([1.0]), torch.zeros(1))
    tensor(0.2500)
    """,
    f"{LEGACY} beta",
    beta=1.0,
)
HuberLoss = _module(
    "HuberLoss",
    F.huber_loss,
    """
    >>> nn.HuberLoss(delta=2.0)(torch.tensor([3.0]), torch.zeros(1))
    tensor(4.)
    """,
    "reduction delta",
    delta=1.0,
)
NLLLoss = _module(
    "NLLLoss",
    F.nll_loss,
    """
    >>> nn.NLLLoss()(torch.tensor([[-1.0, -2.0]]), torch.tensor([1]))
    tensor(2.)
    """,
    "weight size_average ignore_index reduce reduction",
    "weight",
    ignore_index=-100,
)
CrossEntropyLoss = _module(
    "CrossEntropyLoss",
    F.cross_entropy,
    """
    >>> nn.CrossEntropyLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """,
    "weight size_average ignore_index reduce reduction label_smoothing",
    "weight",
    ignore_index=-100,
    label_smoothing=0.0,
)
BCELoss = _module(
    "BCELoss",
    F.binary_cross_entropy,
    """
    >>> nn.BCELoss()(torch.tensor([0.5, 0.0]), torch.tensor([1.0, 0.0]))
    tensor(0.3466)
    """,
    f"weight {LEGACY}",
    "weight",
)
BCEWithLogitsLoss = _module(
    "BCEWithLogitsLoss",
    F.binary_cross_entropy_with_logits,
    """
    >>> nn.BCEWithLogitsLoss()(torch.tensor([0.0, 200.0]), torch.tensor([1.0, 0.0]))
    tensor(100.3466)
    """,
    f"weight {LEGACY} pos_weight",
    "weight pos_weight",
)
KLDivLoss = _module(
    "KLDivLoss",
    F.kl_div,
    """
    >>> loss = nn.KLDivLoss(reduction="batchmean")
    >>> loss(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """,
    f"{LEGACY} log_target",
    log_target=False,
)
PoissonNLLLoss = _module(
    "PoissonNLLLoss",
    F.poisson_nll_loss,
    """
    >>> nn.PoissonNLLLoss()(torch.tensor([0.0]), torch.tensor([3.0]))
    tensor(1.)
    """,
    "log_input full size_average eps reduce reduction",
    log_input=True,
    full=False,
    eps=1e-8,
)
GaussianNLLLoss = _module(
    "GaussianNLLLoss",
    F.gaussian_nll_loss,
    """
    >>> nn.GaussianNLLLoss()(torch.zeros(1), torch.tensor([2.0]), torch.ones(1))
    tensor(2.)
    """,
    "",
    full=False,
    eps=1e-6,
)
SoftMarginLoss = _module(
    "SoftMarginLoss",
    F.soft_margin_loss,
    """
    >>> nn.SoftMarginLoss()(torch.tensor([0.0]), torch.tensor([-1.0]))
    tensor(0.6931)
    """,
    LEGACY,
)
MultiMarginLoss = _module(
    "MultiMarginLoss",
    F.multi_margin_loss,
    """
    >>> nn.MultiMarginLoss()(torch.tensor([[1.0, 0.5]]), torch.tensor([0]))
    tensor(0.2500)
    """,
    f"p margin weight {LEGACY}",
    "weight",
    p=1,
    margin=1.0,
)
MultiLabelMarginLoss = _module(
    "MultiLabelMarginLoss",
    F.multilabel_margin_loss,
    """
    >>> y = torch.tensor([[0, -1, 1]])
    >>> nn.MultiLabelMarginLoss()(torch.tensor([[0.5, 0.25, 1.0]]), y)
    tensor(0.7500)
    """,
    LEGACY,
)
CTCLoss = _module(
    "CTCLoss",
    F.ctc_loss,
    """
    >>> scores = torch.zeros(2, 1, 3).log_softmax(2)
    >>> lengths = torch.tensor([2]), torch.tensor([1])
    >>> nn.CTCLoss()(scores, torch.tensor([[1]]), *lengths)
    tensor(1.0986)
    """,
    "blank reduction zero_infinity",
    blank=0,
    zero_infinity=False,
)
MultiLabelSoftMarginLoss = _module(
    "MultiLabelSoftMarginLoss",
    F.multilabel_soft_margin_loss,
    """
    >>> nn.MultiLabelSoftMarginLoss()(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))
    tensor(0.6931)
    """,
    f"weight {LEGACY}",
    "weight",
)
HingeEmbeddingLoss = _module(
    "HingeEmbeddingLoss",
    F.hinge_embedding_loss,
    """
    >>> nn.HingeEmbeddingLoss()(torch.tensor([0.25]), torch.tensor([-1]))
    tensor(0.7500)
    """,
    f"margin {LEGACY}",
    margin=1.0,
)
CosineEmbeddingLoss = _module(
    "CosineEmbeddingLoss",
    F.cosine_embedding_loss,
    """
    >>> x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> nn.CosineEmbeddingLoss()(x, y, torch.tensor([1.0]))
    tensor(1.)
    """,
    f"margin {LEGACY}",
    margin=0.0,
)
MarginRankingLoss = _module(
    "MarginRankingLoss",
    F.margin_ranking_loss,
    """
    >>> loss = nn.MarginRankingLoss(margin=0.5)
    >>> loss(torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(2.5000)
    """,
    f"margin {LEGACY}",
    margin=0.0,
)
TripletMarginLoss = _module(
    "TripletMarginLoss",
    F.triplet_margin_loss,
    """
    >>> loss = nn.TripletMarginLoss(margin=2.0)
    >>> loss(torch.zeros(1, 1), torch.full((1, 1), 5.0), torch.ones(1, 1))
    tensor(6.)
    """,
    f"margin p eps swap {LEGACY}",
    margin=1.0,
    p=2.0,
    eps=1e-6,
    swap=False,
)


class NLLLoss2d(NLLLoss):  # type: ignore[misc, valid-type]
    """The older name of `NLLLoss`.

    >>> import warnings
    >>> logs = torch.tensor([[[[-0.5]], [[-1.0]]]])
    >>> with warnings.catch_warnings(action="ignore"):
    ...     print(nn.NLLLoss2d()(logs, torch.tensor([[[1]]])))
    tensor(1.)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(NLL_LOSS_2D, FutureWarning, stacklevel=2)
        super().__init__(*args, **kwargs)
