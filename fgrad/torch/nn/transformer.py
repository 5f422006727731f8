"""Transformers: layers of attention and of small networks, with residuals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch.nn import functional as F
from fgrad.torch.nn import init
from fgrad.torch.nn.attention import MultiheadAttention
from fgrad.torch.nn.containers import ModuleList
from fgrad.torch.nn.functional.heads import added_mask
from fgrad.torch.nn.linear import Linear
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.normalization import LayerNorm
from fgrad.torch.nn.sparse import Dropout
from fgrad.torch.tensor import Tensor, make


def _activation(given: Any) -> Callable[[Tensor], Tensor]:
    named: dict[str, Any] = {"relu": F.relu, "gelu": F.gelu}
    if isinstance(given, str):
        if given not in named:
            raise RuntimeError(f"activation should be relu/gelu, not {given}")
        return named[given]  # type: ignore[no-any-return]
    return given  # type: ignore[no-any-return]


def _clones(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


def _added_masks(src: Any, mask: Any, padding: Any, name: str) -> tuple[Any, Any]:
    """A mask of pairs and one of keys as numbers to add to scores."""
    keys = "src_key_padding_mask"
    added = added_mask(padding, keys, src.dtype, mask, other_name=name, stacklevel=4)
    return added_mask(mask, name, src.dtype), added


class TransformerEncoderLayer(Module):
    """Self-attention and a network of two layers, each with a residual and a norm.

    The shape ``(length, batch, d_model)`` is kept (Vaswani et al., Attention is all you
    need, 2017, section 3.1).

    Args:
        d_model: the number of features.
        nhead: how many heads attention has.
        dim_feedforward: the width of the network.
        dropout: in training.
        activation: ``"relu"``, ``"gelu"`` or a function.
        layer_norm_eps: that of the norms.
        batch_first: whether the first axis is the batch.
        norm_first: whether norms come before attention and network.
        bias: whether layers have one.

    >>> nn.TransformerEncoderLayer(4, 2, 8)(torch.ones(3, 1, 4)).shape
    torch.Size([3, 1, 4])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(
            d_model,
            nhead,
            dropout,
            bias,
            batch_first=batch_first,
            device=device,
            dtype=dtype,
        )
        self.linear1 = Linear(
            d_model, dim_feedforward, bias, device=device, dtype=dtype
        )
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(
            dim_feedforward, d_model, bias, device=device, dtype=dtype
        )
        self.norm_first = norm_first
        for name in ("norm1", "norm2"):
            norm = LayerNorm(
                d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype
            )
            setattr(self, name, norm)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        masks = _added_masks(src, src_mask, src_key_padding_mask, "src_mask")
        x: Any = src
        if self.norm_first:
            x = x + self._attention(self.norm1(x), *masks)
            return x + self._network(self.norm2(x))  # type: ignore[no-any-return]
        x = self.norm1(x + self._attention(x, *masks))
        return self.norm2(x + self._network(x))  # type: ignore[no-any-return]

    def _attention(self, x: Any, mask: Any, padding: Any) -> Any:
        found, _ = self.self_attn(
            x, x, x, key_padding_mask=padding, need_weights=False, attn_mask=mask
        )
        return self.dropout1(found)

    def _network(self, x: Any) -> Any:
        inner = self.dropout(self.activation(self.linear1(x)))
        return self.dropout2(self.linear2(inner))


class TransformerEncoder(Module):
    """Copies of a layer, one after the other, and perhaps a norm at the end.

    >>> layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    >>> nn.TransformerEncoder(layer, 2)(torch.ones(1, 3, 4)).shape
    torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        if norm is not None:
            self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        x = src
        mask, padding = _added_masks(src, mask, src_key_padding_mask, "mask")
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=padding)
        return self.norm(x) if "norm" in self._modules else x


class TransformerDecoderLayer(Module):
    """Self-attention, attention to a memory, and a network of two layers.

    Arguments as of `TransformerEncoderLayer`. It is called with a target and a memory,
    ``(length, batch, d_model)``, and has the target's shape.

    >>> layer = nn.TransformerDecoderLayer(4, 2, 8)
    >>> layer(torch.ones(3, 1, 4), torch.ones(5, 1, 4)).shape
    torch.Size([3, 1, 4])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        for name in ("self_attn", "multihead_attn"):
            attention = MultiheadAttention(
                d_model,
                nhead,
                dropout,
                bias,
                batch_first=batch_first,
                device=device,
                dtype=dtype,
            )
            setattr(self, name, attention)
        self.linear1 = Linear(
            d_model, dim_feedforward, bias, device=device, dtype=dtype
        )
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(
            dim_feedforward, d_model, bias, device=device, dtype=dtype
        )
        self.norm_first = norm_first
        for number in (1, 2, 3):
            norm = LayerNorm(
                d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype
            )
            setattr(self, f"norm{number}", norm)
        for number in (1, 2, 3):
            setattr(self, f"dropout{number}", Dropout(dropout))
        self.activation = _activation(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        x: Any = tgt
        parts: list[Any] = [
            lambda u: self._attention(
                "self_attn", u, u, tgt_mask, tgt_key_padding_mask
            ),
            lambda u: self._attention(
                "multihead_attn", u, memory, memory_mask, memory_key_padding_mask
            ),
            lambda u: self.linear2(self.dropout(self.activation(self.linear1(u)))),
        ]
        for number, part in enumerate(parts, 1):
            norm = getattr(self, f"norm{number}")
            dropout = getattr(self, f"dropout{number}")
            if self.norm_first:
                x = x + dropout(part(norm(x)))
            else:
                x = norm(x + dropout(part(x)))
        return x  # type: ignore[no-any-return]

    def _attention(self, name: str, x: Any, seen: Any, mask: Any, padding: Any) -> Any:
        return getattr(self, name)(
            x, seen, seen, key_padding_mask=padding, need_weights=False, attn_mask=mask
        )[0]


class TransformerDecoder(Module):
    """Copies of a decoder layer, one after the other.

    >>> decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2)
    >>> decoder(torch.ones(3, 1, 4), torch.ones(5, 1, 4)).shape
    torch.Size([3, 1, 4])
    """

    def __init__(
        self, decoder_layer: Module, num_layers: int, norm: Module | None = None
    ) -> None:
        super().__init__()
        self.layers = _clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        if norm is not None:
            self.norm = norm

    def forward(self, tgt: Tensor, memory: Tensor, **masks: Any) -> Tensor:
        x = tgt
        for layer in self.layers:
            x = layer(x, memory, **masks)
        return self.norm(x) if "norm" in self._modules else x


class Transformer(Module):
    """An encoder and a decoder, which sees what the encoder gives.

    Vaswani et al., Attention is all you need, 2017; arguments as of
    `TransformerEncoderLayer`.

    >>> model = nn.Transformer(4, 2, 1, 1, 8, batch_first=True)
    >>> model(torch.ones(1, 5, 4), torch.ones(1, 3, 4)).shape
    torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        rest = (dim_feedforward, dropout, activation, layer_norm_eps)
        flags = (batch_first, norm_first, bias)
        self.encoder = TransformerEncoder(
            TransformerEncoderLayer(d_model, nhead, *rest, *flags),
            num_encoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias),
        )
        self.decoder = TransformerDecoder(
            TransformerDecoderLayer(d_model, nhead, *rest, *flags),
            num_decoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias),
        )
        for parameter in self.parameters():
            if parameter._aval.ndim > 1:
                init.xavier_uniform_(parameter)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        **padding: Any,
    ) -> Tensor:
        seen = padding.get("src_key_padding_mask")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=seen)
        return self.decoder(  # type: ignore[no-any-return]
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=padding.get("tgt_key_padding_mask"),
            memory_key_padding_mask=padding.get("memory_key_padding_mask"),
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = None) -> Tensor:
        """Minus infinity where a query would see what comes after it.

        >>> nn.Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        later = np.triu(np.ones((sz, sz), bool), 1)
        mask = np.where(later, -np.inf, 0.0)
        result = make(mask.astype(np.float32))
        return result if dtype is None else result.to(dtype)
