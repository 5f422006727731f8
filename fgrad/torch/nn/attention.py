"""Attention with several heads."""

from __future__ import annotations

from typing import Any

from fgrad.torch.creation import empty
from fgrad.torch.nn import functional as F
from fgrad.torch.nn import init
from fgrad.torch.nn.functional.heads import added_mask
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
        add_bias_kv: whether there is one key more, a parameter, with a value.
        add_zero_attn: whether there is one key more, of zeros, with a value of zeros.
        kdim: the features of keys, if others.
        vdim: the features of values, if others.
        batch_first: whether the first axis is the batch.

    Raises:
        AssertionError: ``embed_dim`` is no multiple of ``num_heads``.
        ValueError: a number of features or heads is not positive.

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
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
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
        if add_bias_kv:
            for name in ("bias_k", "bias_v"):
                value = Parameter(empty(1, 1, embed_dim, device=device, dtype=dtype))
                self.register_parameter(name, value)
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", *(f"{k}_proj_weight" for k in "qkv")):
            if self._parameters[name] is not None:
                init.xavier_uniform_(self._parameters[name])
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for name in ("bias_k", "bias_v"):
            if name in self._parameters:
                init.xavier_normal_(self._parameters[name])

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
        padding = added_mask(
            key_padding_mask, "key_padding_mask", query.dtype, attn_mask
        )
        mask = added_mask(attn_mask, "attn_mask", query.dtype)
        is_turned = self.batch_first and query._aval.ndim == 3
        q, k, v = (x.transpose(1, 0) if is_turned else x for x in (query, key, value))
        options: dict[str, Any] = {
            "training": self.training,
            "key_padding_mask": padding,
            "need_weights": need_weights,
            "attn_mask": mask,
            "average_attn_weights": average_attn_weights,
            "is_causal": is_causal,
            "use_separate_proj_weight": not self._qkv_same_embed_dim,
        }
        if not self._qkv_same_embed_dim:
            names = [f"{k}_proj_weight" for k in "qkv"]
            options |= {name: self._parameters[name] for name in names}
        out, weights = F.multi_head_attention_forward(
            q,
            k,
            v,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            **options,
        )
        result: Any = out
        return (result.transpose(1, 0) if is_turned else result), weights
