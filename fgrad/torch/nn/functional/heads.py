"""Attention by several heads, each on a part of the features."""

from __future__ import annotations

import math
import warnings
from typing import Any

from fgrad.torch.creation import zeros
from fgrad.torch.dtypes import bool_
from fgrad.torch.joining import cat
from fgrad.torch.nn.functional.attention import scaled_dot_product_attention
from fgrad.torch.nn.functional.dense import linear
from fgrad.torch.nn.functional.dropout import dropout
from fgrad.torch.nn.functional.vision import pad
from fgrad.torch.tensor import Tensor

NO_MASK = (
    "Need attn_mask if specifying the is_causal hint. You may use the Transformer "
    "module method `generate_square_subsequent_mask` to create this mask."
)


def check(is_fitting: bool, message: str) -> None:
    """Raise PyTorch's AssertionError for what does not fit."""
    if not is_fitting:
        raise AssertionError(message)


def _is_batched(
    query: Any, key: Any, value: Any, padding: Any, mask: Any, num_heads: int
) -> bool:
    """Whether there is a batch; the numbers of axes are checked.

    Raises:
        AssertionError: they do not fit.
    """
    ndim = query.dim()
    check(
        ndim in (2, 3),
        f"query should be unbatched 2D or batched 3D tensor but received {ndim}-D "
        "query tensor",
    )
    start = f"For {'' if ndim == 3 else 'un'}batched ({ndim}-D) `query`, expected "
    check(
        key.dim() == value.dim() == ndim,
        f"{start}`key` and `value` to be {ndim}-D but found {key.dim()}-D and "
        f"{value.dim()}-D tensors respectively",
    )
    if padding is not None:
        check(
            padding.dim() == ndim - 1,
            f"{start}`key_padding_mask` to be `None` or {ndim - 1}-D but found "
            f"{padding.dim()}-D tensor instead",
        )
    if mask is not None:
        check(
            mask.dim() in (2, 3),
            f"{start}`attn_mask` to be `None`, 2-D or 3-D but found {mask.dim()}-D "
            "tensor instead",
        )
        wanted = (num_heads, query.shape[0], key.shape[0])
        check(
            ndim == 3 or mask.dim() == 2 or mask.shape == wanted,
            f"Expected `attn_mask` shape to be {wanted} but got {mask.shape}",
        )
    return bool(ndim == 3)


def added_mask(
    mask: Any,
    name: str,
    dtype: Any,
    other: Any = None,
    stacklevel: int = 3,
    other_name: str = "attn_mask",
) -> Any:
    """A mask as numbers to add to scores: minus infinity where it is True.

    Args:
        mask: of booleans or floating-point numbers, or None.
        name: that of the argument.
        dtype: the type of the result.
        other: another mask, whose type should be the same.
        stacklevel: where a warning points to.
        other_name: that of the other mask.

    Raises:
        AssertionError: the mask is neither of booleans nor of floating-point numbers.
    """
    if mask is None:
        return None
    is_float = mask.dtype.is_floating_point
    check(
        is_float or mask.dtype is bool_,
        f"only bool and floating types of {name} are supported",
    )
    if other is not None and other.dtype is not mask.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same "
            "type for both instead.",
            UserWarning,
            stacklevel=stacklevel,
        )
    if is_float:
        return mask
    blank = zeros(mask.shape, dtype=dtype, device=mask.device)
    return blank.masked_fill(mask, -math.inf)


def _projected(
    inputs: tuple[Any, Any, Any], weight: Any, separate: tuple[Any, ...], bias: Any
) -> list[Any]:
    """Queries, keys and values times their weights."""
    biases: Any = [None] * 3 if bias is None else bias.chunk(3)
    if separate:
        width = inputs[0].size(-1)
        names = ("query", "key", "value")
        for name, x, each in zip(names, inputs, separate, strict=True):
            wanted = (width, x.size(-1))
            check(
                each.shape == wanted,
                f"expecting {name} weights shape of {wanted}, but got {each.shape}",
            )
        for name, each in zip(names, biases, strict=True):
            check(
                each is None or each.shape == (width,),
                f"expecting {name} bias shape of {(width,)}, but got "
                f"{None if each is None else each.shape}",
            )
    weights = separate or weight.chunk(3)
    given = zip(inputs, weights, biases, strict=True)
    return [linear(x, each, offset) for x, each, offset in given]


def _check_separate(weights: dict[str, Any]) -> tuple[Any, ...]:
    for name, each in weights.items():
        check(each is not None, f"use_separate_proj_weight is True but {name} is None")
    return tuple(weights.values())


def _check_sizes(
    inputs: tuple[Any, ...], wanted: int, num_heads: int, is_separate: bool
) -> None:
    query, key, value = inputs
    size = query.shape[-1]
    check(
        size == wanted,
        f"was expecting embedding dimension of {wanted}, but got {size}",
    )
    check(
        size // num_heads * num_heads == size,
        f"embed_dim {size} not divisible by num_heads {num_heads}",
    )
    if is_separate:
        check(
            key.shape[:2] == value.shape[:2],
            f"key's sequence and batch dims {key.shape[:2]} do not match value's "
            f"{value.shape[:2]}",
        )
        return
    check(
        key.shape == value.shape,
        f"key shape {key.shape} does not match value shape {value.shape}",
    )


def _stacked(mask: Any, length: int, count: int, stack: int) -> Any:
    """The mask of queries and keys with three axes.

    Raises:
        RuntimeError: its shape does not fit.
    """
    wanted = (length, count) if mask.dim() == 2 else (stack, length, count)
    if mask.shape != wanted:
        raise RuntimeError(
            f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be "
            f"{wanted}."
        )
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _heads(x: Any, static: Any, name: str, stack: int, size: int) -> Any:
    """``(length, batch, features)`` as ``(batch * heads, length, size)``."""
    if static is None:
        return x.reshape(x.shape[0], stack, size).transpose(0, 1)
    for axis, wanted in ((0, stack), (2, size)):
        check(
            static.size(axis) == wanted,
            f"expecting {name}.size({axis}) of {wanted}, but got {static.size(axis)}",
        )
    return static


def _with_biases(
    k: Any, v: Any, biases: tuple[Any, Any], statics: tuple[Any, Any]
) -> tuple[Any, Any, bool]:
    """Keys and values with one more each, where there are biases."""
    bias_k, bias_v = biases
    check(bias_k is None or bias_v is not None, "bias_k is set but bias_v is None")
    check(bias_v is None or bias_k is not None, "bias_v is set but bias_k is None")
    if bias_k is None:
        return k, v, False
    for name, static in zip(("key", "value"), statics, strict=True):
        check(static is None, f"bias cannot be added to static {name}.")
    batch = k.shape[1]
    longer = cat([k, bias_k.repeat(1, batch, 1)])
    return longer, cat([v, bias_v.repeat(1, batch, 1)]), True


def _longer(mask: Any, count: int) -> Any:
    """A mask for some keys more, which all queries see."""
    return mask if mask is None or not count else pad(mask, (0, count))


def _joined(mask: Any, padding: Any, batch: int, num_heads: int, count: int) -> Any:
    """Both masks in one."""
    if padding is None:
        return mask
    for axis, wanted in enumerate((batch, count)):
        check(
            padding.shape[axis] == wanted,
            f"Expected key_padded_mask.shape[{axis}] to be {wanted}, but got "
            f"{padding.shape[axis]}",
        )
    spread = padding.view(batch, 1, 1, count).expand(-1, num_heads, -1, -1)
    spread = spread.reshape(batch * num_heads, 1, count)
    return spread if mask is None else mask + spread


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What `nn.MultiheadAttention` computes, of parameters that are given.

    A. Vaswani et al., Attention is all you need, 2017, section 3.2.

    Args:
        query: ``(length, batch, features)``, or without a batch.
        key: as the query, of any length.
        value: as the key.
        embed_dim_to_check: the number of features.
        num_heads: how many heads there are.
        in_proj_weight: ``(3 * features, features)``: of queries, keys, values.
        in_proj_bias: ``(3 * features,)``, or None.
        bias_k: ``(1, 1, features)``: one key more, or None.
        bias_v: its value.
        add_zero_attn: whether there is one key more, of zeros, with a value of zeros.
        dropout_p: the probability to drop an attention weight in training.
        out_proj_weight: ``(features, features)``.
        out_proj_bias: ``(features,)``, or None.
        training: whether weights are dropped.
        key_padding_mask: ``(batch, length of keys)``: True where a key does not count,
            or added.
        need_weights: whether the weights are returned.
        attn_mask: for each query and key, and perhaps each head: True where not
            allowed, or added.
        use_separate_proj_weight: whether the weights of queries, keys and values are
            given one by one.
        q_proj_weight: that of queries.
        k_proj_weight: that of keys.
        v_proj_weight: that of values.
        static_k: ``(batch * heads, length of keys, features / heads)``, in place of the
            projected keys.
        static_v: the same of values.
        average_attn_weights: the mean over heads, or the weights of each.
        is_causal: a hint that the mask is causal.

    Returns:
        The result, of the shape of the query, and the weights ``(batch, queries,
        keys)``, or None.

    Raises:
        AssertionError: shapes do not fit, or what is needed is not given.
        RuntimeError: the shape of the mask does not fit, or there is none though
            ``is_causal``.

    >>> x, weight = torch.eye(2).unsqueeze(1), torch.eye(2).repeat(3, 1)
    >>> given = (2, 1, weight, None, None, None, False, 0.0, torch.eye(2), None)
    >>> out, weights = F.multi_head_attention_forward(x, x, x, *given)
    >>> weights
    tensor([[[0.6698, 0.3302],
             [0.3302, 0.6698]]])
    """
    inputs = (query, key, value)
    is_batched = _is_batched(*inputs, key_padding_mask, attn_mask, num_heads)
    if not is_batched:
        inputs = tuple(x.unsqueeze(1) for x in inputs)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, features = inputs[0].shape
    dtype = query.dtype
    name = "key_padding_mask"
    padding = added_mask(key_padding_mask, name, dtype, attn_mask)
    if is_causal and attn_mask is None:
        raise RuntimeError(NO_MASK)
    if is_causal and padding is None and not need_weights:
        attn_mask = None
    else:
        attn_mask = added_mask(attn_mask, "attn_mask", dtype)
        is_causal = is_causal and padding is None
    _check_sizes(inputs, embed_dim_to_check, num_heads, use_separate_proj_weight)
    separate: tuple[Any, ...] = ()
    if use_separate_proj_weight:
        weights = {"q_proj_weight": q_proj_weight, "k_proj_weight": k_proj_weight}
        separate = _check_separate({**weights, "v_proj_weight": v_proj_weight})
    else:
        check(
            in_proj_weight is not None,
            "use_separate_proj_weight is False but in_proj_weight is None",
        )
    q, k, v = _projected(inputs, in_proj_weight, separate, in_proj_bias)
    stack, size = batch * num_heads, features // num_heads
    if attn_mask is not None:
        attn_mask = _stacked(attn_mask, length, inputs[1].shape[0], stack)
    k, v, is_longer = _with_biases(k, v, (bias_k, bias_v), (static_k, static_v))
    q = _heads(q, None, "", stack, size)
    k = _heads(k, static_k, "static_k", stack, size)
    v = _heads(v, static_v, "static_v", stack, size)
    if add_zero_attn:
        nothing = zeros((stack, 1, size), dtype=k.dtype, device=k.device)
        k, v = cat([k, nothing], 1), cat([v, nothing], 1)
    attn_mask, padding = (
        _longer(mask, is_longer + add_zero_attn) for mask in (attn_mask, padding)
    )
    count = k.size(1)
    mask = _joined(attn_mask, padding, batch, num_heads, count)
    share = dropout_p if training else 0.0
    found = None
    if need_weights:
        scores = (q * math.sqrt(1 / size)) @ k.transpose(-2, -1)
        scores = scores if mask is None else scores + mask
        scores = dropout(scores.softmax(-1), share) if share else scores.softmax(-1)
        mixed = (scores @ v).transpose(0, 1)
        found = scores.view(batch, num_heads, length, count)
        found = found.mean(1) if average_attn_weights else found
        found = found if is_batched else found.squeeze(0)
    else:
        if mask is not None:
            shape = (1, 1) if mask.size(0) == 1 else (batch, num_heads)
            mask = mask.view(*shape, *mask.shape[1:])
        q, k, v = (x.reshape(batch, num_heads, -1, size) for x in (q, k, v))
        fused: Any = scaled_dot_product_attention(q, k, v, mask, share, is_causal)
        mixed = fused.permute(2, 0, 1, 3)
    flat = mixed.reshape(length * batch, features)
    out: Any = linear(flat, out_proj_weight, out_proj_bias)
    out = out.view(length, batch, out.size(1))
    return (out if is_batched else out.squeeze(1)), found
