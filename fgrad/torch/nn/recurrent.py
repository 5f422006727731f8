"""Recurrent networks over sequences: ``RNN``, ``LSTM``, ``GRU``."""

from __future__ import annotations

from typing import Any

from fgrad.torch.nn.recurrence import RNNBase
from fgrad.torch.tensor import Tensor

ONLY_LSTM = "proj_size argument is only supported for LSTM, not RNN or GRU"


class _OneState(RNNBase):
    """What is called with one state, and gives one."""

    def forward(self, input: Any, hx: Tensor | None = None) -> Any:
        output, (end,) = self._run(input, None if hx is None else (hx,))
        return output, end


class RNN(_OneState):
    """An Elman network: ``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``.

    Called with ``(length, batch, input_size)``, and perhaps a first state, it gives the
    states of the last layer ``(length, batch, hidden_size)`` and the last ones of all
    layers ``(num_layers, batch, hidden_size)`` (Elman, Finding structure in time,
    1990).

    Args:
        input_size: the width of the input.
        hidden_size: that of the state.
        num_layers: how many there are, one above the other.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias: whether there is one.
        batch_first: whether the first axis of the input is the batch.
        dropout: between layers.
        bidirectional: whether a second network runs backwards.

    Raises:
        ValueError: there is no such nonlinearity.

    >>> out, last = nn.RNN(2, 3, num_layers=2)(torch.ones(5, 4, 2))
    >>> out.shape, last.shape
    (torch.Size([5, 4, 3]), torch.Size([2, 4, 3]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int | None = None,
    ) -> None:
        if proj_size is not None:
            raise ValueError(ONLY_LSTM)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        sizes = (input_size, hidden_size, num_layers)
        rest: Any = (bias, batch_first, dropout, bidirectional, 0, device, dtype)
        super().__init__(f"RNN_{nonlinearity.upper()}", *sizes, *rest)
        self.nonlinearity = nonlinearity


class GRU(_OneState):
    """Gated recurrent units; arguments as of `LSTM`, results as of `RNN`.

    ``r, z = sigmoid(W x + b + U h + c)`` for each, ``n = tanh(W x + b + r * (U h +
    c))`` and ``h' = (1 - z) * n + z * h``, each with weights of its own (Cho et al.,
    Learning phrase representations, 2014).

    >>> out, last = nn.GRU(2, 3)(torch.ones(5, 4, 2))
    >>> out.shape, last.shape
    (torch.Size([5, 4, 3]), torch.Size([1, 4, 3]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int | None = None,
    ) -> None:
        if proj_size is not None:
            raise ValueError(ONLY_LSTM)
        sizes = (input_size, hidden_size, num_layers)
        rest: Any = (bias, batch_first, dropout, bidirectional, 0, device, dtype)
        super().__init__("GRU", *sizes, *rest)


class LSTM(RNNBase):
    """Long short-term memory; the state is a pair ``(h, c)``.

    ``i, f, o = sigmoid(W x + b + U h + c)`` and ``g = tanh(...)``, each with weights of
    its own; ``c' = f * c + i * g`` and ``h' = o * tanh(c')`` (Hochreiter and
    Schmidhuber, Long short-term memory, 1997).

    Args:
        input_size: the width of the input.
        hidden_size: that of the state.
        num_layers: how many there are, one above the other.
        bias: whether there is one.
        batch_first: whether the first axis of the input is the batch.
        dropout: between layers.
        bidirectional: whether a second network runs backwards.
        proj_size: the width that outputs are projected to; 0 for none (Sak et al., Long
            short-term memory based recurrent neural network architectures, 2014).

    Raises:
        ValueError: ``proj_size`` is not smaller than ``hidden_size``.

    >>> out, (h, c) = nn.LSTM(2, 3, bidirectional=True)(torch.ones(5, 4, 2))
    >>> out.shape, c.shape
    (torch.Size([5, 4, 6]), torch.Size([2, 4, 3]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = (input_size, hidden_size, num_layers)
        rest: Any = (
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )
        super().__init__("LSTM", *sizes, *rest)
        if not proj_size:
            self.node = "MkldnnRnnLayerBackward0"

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (hidden, cell) = self._run(input, hx)
        return output, (hidden, cell)
