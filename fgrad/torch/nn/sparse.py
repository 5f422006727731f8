"""Embeddings and dropout as modules."""

from __future__ import annotations

from typing import Any

from fgrad.torch.creation import empty
from fgrad.torch.nn import functional as F
from fgrad.torch.nn import init
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.tensor import Tensor


class Embedding(Module):
    """A table of vectors: integers ``(...)`` give ``(..., embedding_dim)``.

    Args:
        num_embeddings: the number of rows.
        embedding_dim: their length.
        padding_idx: a row of zeros that gets no gradient.
        max_norm: longer rows are shortened when they are used.
        norm_type: the norm that is meant.
        scale_grad_by_freq: the gradient of a row is divided by how often it is taken.
        sparse: gradients are dense all the same.
        device: where the table lives.
        dtype: its dtype.

    Raises:
        AssertionError: there is no row ``padding_idx``.

    >>> nn.Embedding(10, 3)(torch.tensor([[1, 2], [4, 5]])).shape
    torch.Size([2, 2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError("Padding_idx must be within num_embeddings")
            padding_idx %= num_embeddings
        self.padding_idx, self.max_norm = padding_idx, max_norm
        self.norm_type, self.sparse = norm_type, sparse
        self.scale_grad_by_freq = scale_grad_by_freq
        given = empty(num_embeddings, embedding_dim, device=device, dtype=dtype)
        table = given if _weight is None else _weight
        self.weight = Parameter(table, requires_grad=not _freeze)
        if _weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])  # type: ignore[index]

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        **options: Any,
    ) -> Embedding:
        """An embedding of a table, which is not trained if ``freeze``.

        >>> nn.Embedding.from_pretrained(torch.eye(3))(torch.tensor([2, 0]))
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
        """
        rows, columns = embeddings.shape
        given = {"_weight": embeddings, "_freeze": freeze, **options}
        return cls(rows, columns, padding_idx, **given)

    def forward(self, input: Tensor) -> Tensor:
        rest = (self.max_norm, self.norm_type, self.scale_grad_by_freq)
        return F.embedding(input, self.weight, self.padding_idx, *rest)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return text


class EmbeddingBag(Module):
    """The mean, sum or largest of rows of a table, for each bag.

    Args:
        num_embeddings: the number of rows.
        embedding_dim: their length.
        max_norm: longer rows are shortened when they are used.
        norm_type: the norm that is meant.
        scale_grad_by_freq: not supported.
        mode: ``"mean"``, ``"sum"`` or ``"max"``.
        sparse: gradients are dense all the same.
        include_last_offset: the last offset is where the last bag ends.
        padding_idx: a row of zeros that is left out.
        device: where the table lives.
        dtype: its dtype.

    >>> nn.EmbeddingBag(10, 3)(torch.tensor([[1, 2], [4, 5]])).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError("padding_idx must be within num_embeddings")
            padding_idx %= num_embeddings
        self.padding_idx, self.mode, self.sparse = padding_idx, mode, sparse
        self.include_last_offset = include_last_offset
        given = empty(num_embeddings, embedding_dim, device=device, dtype=dtype)
        self.weight = Parameter(given if _weight is None else _weight)
        if _weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])  # type: ignore[index]

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, **options: Any
    ) -> EmbeddingBag:
        """Bags of rows of a table, which is not trained if ``freeze``.

        >>> bags = nn.EmbeddingBag.from_pretrained(torch.eye(3), mode="sum")
        >>> bags(torch.tensor([[2, 0]]))
        tensor([[1., 0., 1.]])
        """
        rows, columns = embeddings.shape
        found = cls(rows, columns, _weight=embeddings, **options)
        found.weight.requires_grad = not freeze
        return found

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        text += f", mode={self.mode!r}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text


class DropoutBase(Module):
    """What all dropouts hold; a subclass gives the function."""

    function: Any

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(
                f"dropout probability has to be between 0 and 1, but got {p}"
            )
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Any:
        return type(self).function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(DropoutBase):
    """Elements set to zero with probability ``p`` in training, the others scaled.

    The others are divided by ``1 - p`` (Hinton et al., Improving neural networks by
    preventing co-adaptation, 2012).

    Raises:
        ValueError: ``p`` is no probability.

    >>> nn.Dropout(1.0)(torch.ones(2)), nn.Dropout(1.0).eval()(torch.ones(2))
    (tensor([0., 0.]), tensor([1., 1.]))
    """

    function = staticmethod(F.dropout)


class Dropout1d(DropoutBase):
    """Channels of ``(N, C, L)`` or ``(C, L)`` set to zero by chance in training.

    >>> nn.Dropout1d(1.0)(torch.ones(1, 2, 2))
    tensor([[[0., 0.],
             [0., 0.]]])
    """

    function = staticmethod(F.dropout1d)


class Dropout2d(DropoutBase):
    """Channels of ``(N, C, H, W)`` set to zero by chance in training.

    >>> nn.Dropout2d(1.0)(torch.ones(1, 2, 1, 2)).flatten()
    tensor([0., 0., 0., 0.])
    """

    function = staticmethod(F.dropout2d)


class AlphaDropout(DropoutBase):
    """Dropout that keeps the mean and variance of what `SELU` gives.

    Klambauer et al., Self-normalizing neural networks, 2017.

    >>> nn.AlphaDropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    function = staticmethod(F.alpha_dropout)


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along an axis.

    >>> nn.CosineSimilarity(dim=0)(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 0.0]))
    tensor(0.7071)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The ``p``-norm of ``x1 - x2 + eps`` over the last axis.

    >>> nn.PairwiseDistance()(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
    tensor([5.0000])
    """

    def __init__(
        self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
    ) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
