"""Recurrent networks over sequences: ``RNN``, ``LSTM``, ``GRU``.

A layer in one direction is one recorded operation: the products of all inputs with the
weights at once, then a loop over the steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.creation import empty, zeros
from fgrad.torch.joining import cat, stack
from fgrad.torch.nn import functional as F
from fgrad.torch.nn import init
from fgrad.torch.nn.cells import Step, gru_step, lstm_step, relu_step, tanh_step
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.nn.utils.packing import PackedSequence, pad_packed_sequence, rows_of
from fgrad.torch.recording import one, several
from fgrad.torch.tensor import Tensor


class _Recurrent(Module):
    """What all recurrent networks share; a subclass gives step and gates."""

    gates: int
    states = 1
    node = "StackBackward0"

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
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = hidden_size * self._directions if layer else input_size
            for suffix in self._suffixes(layer):
                shapes: dict[str, Any] = {
                    "weight_ih": (rows, width),
                    "weight_hh": (rows, hidden_size),
                }
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    value = Parameter(empty(shape, device=device, dtype=dtype))
                    self.register_parameter(name + suffix, value)
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        for parameter in self.parameters():
            init.uniform_within(parameter, self.hidden_size)

    def flatten_parameters(self) -> None:
        """What PyTorch does for GPUs: nothing here."""

    def _step(self) -> Step:
        raise NotImplementedError

    def _layer(
        self, x: Tensor, suffix: str, state: list[Tensor], alive: Any
    ) -> tuple[Tensor, ...]:
        """A layer in one direction: the outputs of all steps, and the last state.

        Where a sequence is not ``alive``, which it is at all steps if that is None, its
        state stays as it is.
        """
        step = self._step()
        is_reversed = suffix.endswith("_reverse")
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [self._parameters.get(name + suffix) for name in names]

        def compute(u: Any, w: Any, v: Any, b: Any, c: Any, *before: Any) -> Any:
            given = u @ w.T if b is None else u @ w.T + b
            outputs, current = [], before
            places = range(given.shape[0])
            for place in reversed(places) if is_reversed else places:
                after = step(given[place], current, v, c)
                if alive is not None:
                    pairs = zip(after, current, strict=True)
                    after = tuple([np.where(alive[place], a, b) for a, b in pairs])
                current = after
                outputs.append(current[0])
            if is_reversed:
                outputs.reverse()
            return (np.stack(outputs), *current)

        return several(self.node, compute, x, *weights, *state)

    def _run(self, input: Any, state: Any) -> tuple[Any, list[Tensor]]:
        if isinstance(input, PackedSequence):
            return self._run_packed(input, state)
        if input._aval.ndim not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got "
                f"{input._aval.ndim}D instead"
            )
        is_single = input._aval.ndim == 2
        if input._aval.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {input._aval.shape[-1]}"
            )
        x = input.unsqueeze(1) if is_single else input
        if self.batch_first and not is_single:
            x = x.transpose(0, 1)
        count = self.num_layers * self._directions
        if state is None:
            shape = (count, x._aval.shape[1], self.hidden_size)
            state = (zeros(shape, dtype=x.dtype),) * self.states
        elif is_single:
            state = tuple(part.unsqueeze(1) for part in state)
        for part in state:
            self._check_state(part, (count, x._aval.shape[1], self.hidden_size))
        x, ends = self._all_layers(x, state, None)
        if is_single:
            return x.squeeze(1), [end.squeeze(1) for end in ends]
        return (x.transpose(0, 1) if self.batch_first else x), ends

    def _run_packed(
        self, packed: PackedSequence, state: Any
    ) -> tuple[PackedSequence, list[Tensor]]:
        """The same for packed sequences: padded, run while they last, and packed."""
        sizes = packed.batch_sizes._array
        if packed.data._aval.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {packed.data._aval.shape[-1]}"
            )
        x, _ = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))
        shape = (self.num_layers * self._directions, int(sizes[0]), self.hidden_size)
        if state is None:
            state = (zeros(shape, dtype=x.dtype),) * self.states
        elif packed.sorted_indices is not None:
            state = tuple(part.index_select(1, packed.sorted_indices) for part in state)
        for part in state:
            self._check_state(part, shape)
        alive = np.arange(shape[1]) < sizes[:, None]
        x, ends = self._all_layers(x, state, alive[..., None])
        steps, sequences = rows_of(sizes)
        data = one("CatBackward0", lambda u: u[steps, sequences], x)
        if packed.unsorted_indices is not None:
            ends = [end.index_select(1, packed.unsorted_indices) for end in ends]
        return PackedSequence(data, *packed[1:]), ends

    @staticmethod
    def _check_state(part: Tensor, wanted: tuple[int, ...]) -> None:
        if part._aval.shape != wanted:
            raise RuntimeError(f"Expected hidden size {wanted}, got {list(part.shape)}")

    def _all_layers(self, x: Any, state: Any, alive: Any) -> tuple[Any, list[Any]]:
        ends: list[list[Tensor]] = [[] for _ in range(self.states)]
        number = 0
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes(layer):
                start = [part[number] for part in state]
                output, *last = self._layer(x, suffix, start, alive)
                outputs.append(output)
                for end, value in zip(ends, last, strict=True):
                    end.append(value)
                number += 1
            x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, [stack(end) for end in ends]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        for name, default in defaults.items():
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        return text


class RNN(_Recurrent):
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

    gates = 1

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
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        flags = (batch_first, dropout, bidirectional, device, dtype)
        super().__init__(input_size, hidden_size, num_layers, bias, *flags)
        self.nonlinearity = nonlinearity

    def _step(self) -> Step:
        return tanh_step if self.nonlinearity == "tanh" else relu_step

    def forward(self, input: Any, hx: Tensor | None = None) -> Any:
        output, (end,) = self._run(input, None if hx is None else (hx,))
        return output, end


class GRU(_Recurrent):
    """Gated recurrent units; arguments as of `LSTM`, results as of `RNN`.

    ``r, z = sigmoid(W x + b + U h + c)`` for each, ``n = tanh(W x + b + r * (U h +
    c))`` and ``h' = (1 - z) * n + z * h``, each with weights of its own (Cho et al.,
    Learning phrase representations, 2014).

    >>> out, last = nn.GRU(2, 3)(torch.ones(5, 4, 2))
    >>> out.shape, last.shape
    (torch.Size([5, 4, 3]), torch.Size([1, 4, 3]))
    """

    gates = 3

    def _step(self) -> Step:
        return gru_step

    def forward(self, input: Any, hx: Tensor | None = None) -> Any:
        output, (end,) = self._run(input, None if hx is None else (hx,))
        return output, end


class LSTM(_Recurrent):
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

    >>> out, (h, c) = nn.LSTM(2, 3, bidirectional=True)(torch.ones(5, 4, 2))
    >>> out.shape, c.shape
    (torch.Size([5, 4, 6]), torch.Size([2, 4, 3]))
    """

    gates, states = 4, 2
    node = "MkldnnRnnLayerBackward0"

    def _step(self) -> Step:
        return lstm_step

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (hidden, cell) = self._run(input, hx)
        return output, (hidden, cell)
