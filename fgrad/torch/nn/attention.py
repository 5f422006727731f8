"""Attention with several heads."""

from __future__ import annotations

import math
import warnings
from typing import Any

from fgrad.torch.creation import empty, zeros
from fgrad.torch.nn import functional as F
from fgrad.torch.nn import init
from fgrad.torch.nn.linear import Linear
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.tensor import Tensor


class NonDynamicallyQuantizableLinear(Linear):
    """A linear layer; the name is what PyTorch's attention shows."""


class MultiheadAttention(Module):
    """Attention by several heads, each on a part of the features.

    Called with queries, keys and values ``(length, batch, features)`` it gives the
    result and the weights ``(batch, queries, keys)`` (Vaswani et al., Attention is all
    you need, 2017, section 3.2).

    Args:
        embed_dim: the number of features; a multiple of ``num_heads``.
        num_heads: how many heads there are.
        dropout: the probability to drop an attention weight in training.
        bias: whether projections have one.
        add_bias_kv: not supported.
        add_zero_attn: not supported.
        kdim: the features of keys, if others.
        vdim: the features of values, if others.
        batch_first: whether the first axis is the batch.

    Raises:
        AssertionError: ``embed_dim`` is no multiple of ``num_heads``.
        NotImplementedError: ``add_bias_kv`` or ``add_zero_attn`` is set.

    >>> query, key = torch.ones(3, 1, 4), torch.ones(5, 1, 4)
    >>> out, weights = nn.MultiheadAttention(4, 2)(query, key, key)
    >>> out.shape, weights.shape
    (torch.Size([3, 1, 4]), torch.Size([1, 3, 5]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        if add_bias_kv or add_zero_attn:
            raise NotImplementedError(
                "MultiheadAttention is there without add_bias_kv and add_zero_attn"
            )
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.dropout, self.batch_first = dropout, batch_first
        self.head_dim = embed_dim // num_heads
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        widths = {"q": embed_dim, "k": self.kdim, "v": self.vdim}
        for name, width in widths.items():
            value = Parameter(empty(embed_dim, width, device=device, dtype=dtype))
            split = None if self._qkv_same_embed_dim else value
            self.register_parameter(f"{name}_proj_weight", split)
        joint = Parameter(empty(3 * embed_dim, embed_dim, device=device, dtype=dtype))
        weight = joint if self._qkv_same_embed_dim else None
        self.register_parameter("in_proj_weight", weight)
        offset = (
            Parameter(empty(3 * embed_dim, device=device, dtype=dtype))
            if bias
            else None
        )
        self.register_parameter("in_proj_bias", offset)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias, device=device, dtype=dtype
        )
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", *(f"{k}_proj_weight" for k in "qkv")):
            if self._parameters[name] is not None:
                init.xavier_uniform_(self._parameters[name])
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """The inputs times their parts of the weights."""
        size = self.embed_dim
        biases: list[Any] = [None] * 3
        if self.in_proj_bias is not None:
            biases = list(self.in_proj_bias.split(size))
        if self._qkv_same_embed_dim:
            weights = list(self.in_proj_weight.split(size))
        else:
            weights = [getattr(self, f"{k}_proj_weight") for k in "qkv"]
        given = zip((query, key, value), weights, biases, strict=True)
        return [F.linear(x, weight, bias) for x, weight, bias in given]

    def _heads(self, x: Any) -> Any:
        """``(length, batch, features)`` as ``(batch, heads, length, features)``."""
        length, batch, _ = x.shape
        heads = x.reshape(length, batch, self.num_heads, self.head_dim)
        return heads.permute(1, 2, 0, 3)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attention, and its weights.

        Args:
            query: ``(length, batch, features)``, or without a batch.
            key: as the query, of any length.
            value: as the key.
            key_padding_mask: ``(batch, length of keys)``, true (or -inf) where a key
                does not count.
            need_weights: whether the weights are returned.
            attn_mask: for each query and key: true where not allowed, or added.
            average_attn_weights: the mean over heads, or the weights of each.
            is_causal: a hint that the mask is causal.
        """
        is_single = query._aval.ndim == 2
        inputs = [query, key, value]
        if is_single:
            inputs = [x.unsqueeze(1) for x in inputs]
        elif self.batch_first:
            inputs = [x.transpose(0, 1) for x in inputs]
        q, k, v = map(self._heads, self._projected(*inputs))
        names = ("key_padding_mask", "attn_mask")
        padding, pairs = alike(key_padding_mask, attn_mask, names)
        mask = self._mask(pairs, padding, q)
        if need_weights:
            scores = (q / math.sqrt(self.head_dim)) @ k.transpose(-2, -1)
            scores = scores if mask is None else scores + mask
            weights = F.dropout(scores.softmax(-1), self.dropout, self.training)
            mixed = weights @ v
        else:
            share = self.dropout if self.training else 0.0
            mixed = F.scaled_dot_product_attention(q, k, v, mask, share)
            weights = None
        batch, _, length, _ = mixed.shape
        flat = mixed.permute(2, 0, 1, 3).reshape(length * batch, self.embed_dim)
        out = self.out_proj(flat).view(length, batch, self.embed_dim)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if is_single:
            return out.squeeze(1), None if weights is None else weights.squeeze(0)
        return (out.transpose(0, 1) if self.batch_first else out), weights

    def _mask(self, attention: Any, padding: Any, like: Any) -> Any:
        """Both masks as numbers to add to the scores, or None."""
        total = None
        if attention is not None:
            mask = _as_numbers(attention, like)
            if mask._aval.ndim == 3:
                mask = mask.view(-1, self.num_heads, *mask.shape[1:])
            total = mask
        if padding is not None:
            mask = _as_numbers(padding, like)
            mask = mask.view(-1, 1, 1, mask.shape[-1])
            total = mask if total is None else total + mask
        return total


def alike(padding: Any, mask: Any, names: tuple[str, str]) -> tuple[Any, Any]:
    """A mask of keys and one of pairs, as numbers where their dtypes differ.

    ``names`` are those of the arguments, for a warning in PyTorch's words.
    """
    if padding is None or mask is None or padding.dtype is mask.dtype:
        return padding, mask
    text = f"Support for mismatched {names[0]} and {names[1]} is deprecated. Use same "
    warnings.warn(f"{text}type for both instead.", UserWarning, stacklevel=4)
    like = padding if padding.dtype.is_floating_point else mask
    return _as_numbers(padding, like), _as_numbers(mask, like)


def _as_numbers(mask: Any, like: Any) -> Any:
    """A mask to be added: of booleans, minus infinity where it is true."""
    if mask.dtype.is_floating_point:
        return mask
    blank = zeros(mask.shape, dtype=like.dtype)
    return blank.masked_fill(mask, -math.inf)
