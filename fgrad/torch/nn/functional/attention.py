"""Attention: means of values, weighted by how well queries and keys agree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch.random import default_generator
from fgrad.torch.recording import one
from fgrad.torch.softmaxes import softmax_of
from fgrad.torch.tensor import Tensor, require_tensor


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.T * scale + mask) @ value``

    Args:
        query: ``(..., L, E)``.
        key: ``(..., S, E)``.
        value: ``(..., S, V)``.
        attn_mask: added, or of booleans: where attention is allowed.
        dropout_p: the probability to drop a weight.
        is_causal: no query sees keys after its own place.
        scale: ``1 / sqrt(E)`` by default.
        enable_gqa: keys and values serve several heads of queries.

    Raises:
        RuntimeError: a mask and ``is_causal`` are both given.


    >>> query, key = torch.zeros(1, 2), torch.eye(2)
    >>> F.scaled_dot_product_attention(query, key, torch.tensor([[2.0], [4.0]]))
    tensor([[3.]])
    """
    q = require_tensor("scaled_dot_product_attention", query)
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    factor = 1 / math.sqrt(q._aval.shape[-1]) if scale is None else scale
    length, count = q._aval.shape[-2], key._aval.shape[-2]
    repeat = q._aval.shape[-3] // key._aval.shape[-3] if enable_gqa else 1
    allowed = np.tri(length, count, dtype=bool) if is_causal else None
    if attn_mask is not None and attn_mask._aval.dtype == bool:
        allowed, attn_mask = attn_mask._array, None
    keep: Any = None
    if dropout_p > 0:
        shape = (*q._aval.shape[:-1], count)
        draws = default_generator.numpy.random(shape, np.float32)
        keep = (draws >= dropout_p) / np.asarray(1 - dropout_p, q._aval.dtype)

    def compute(u: Any, k: Any, v: Any, mask: Any) -> Any:
        if repeat > 1:
            k, v = np.repeat(k, repeat, -3), np.repeat(v, repeat, -3)
        scores = (u * factor) @ np.swapaxes(k, -1, -2)
        if mask is not None:
            scores = scores + mask
        if allowed is not None:
            scores = np.where(allowed, scores, -math.inf)
        weights = softmax_of(scores, scores.ndim - 1)
        if keep is not None:
            weights = weights * keep
        return weights @ v

    fused = "ScaledDotProductFlashAttentionForCpuBackward0"
    is_fused = q._aval.ndim == 4 and not dropout_p
    node = fused if is_fused else "UnsafeViewBackward0"
    return one(node, compute, q, key, value, attn_mask)
