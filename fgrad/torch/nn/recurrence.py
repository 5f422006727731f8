"""What recurrent networks share: their parameters, and the loop over the steps.

A layer in one direction is one recorded operation: the products of all inputs with the
weights at once, then a loop over the steps.
"""

from __future__ import annotations

import warnings
from numbers import Number
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

_MODES: dict[str, tuple[int, Step]] = {  # how many gates, and a step
    "RNN_TANH": (1, tanh_step),
    "RNN_RELU": (1, relu_step),
    "LSTM": (4, lstm_step),
    "GRU": (3, gru_step),
}
LONELY_DROPOUT = (
    "dropout option adds dropout after all but last recurrent layer, so non-zero "
    "dropout expects num_layers greater than 1, but got dropout={} and num_layers={}"
)


class RNNBase(Module):
    """What all recurrent networks share: `RNN`, `LSTM` and `GRU` are such modules.

    Args:
        mode: ``"RNN_TANH"``, ``"RNN_RELU"``, ``"LSTM"`` or ``"GRU"``.
        input_size: the width of the input.
        hidden_size: that of the state.
        num_layers: how many there are, one above the other.
        bias: whether there is one.
        batch_first: whether the first axis of the input is the batch.
        dropout: between layers.
        bidirectional: whether a second network runs backwards.
        proj_size: the width of the projected outputs of an LSTM; 0 for none.

    Raises:
        ValueError: there is no such mode, or a size or the dropout is out of bounds.
        TypeError: a size is no integer, or a flag no Boolean.

    >>> isinstance(nn.GRU(2, 3), nn.RNNBase)
    True
    """

    node = "StackBackward0"

    def __init__(
        self,
        mode: str,
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
        super().__init__()
        self.mode, self.proj_size = mode, proj_size
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.bidirectional = bidirectional
        self._check_dropout(dropout)
        self.dropout = float(dropout)
        self._check_arguments()
        self._names: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                shapes = self._shapes(layer)
                self._names.append([name + suffix for name in shapes])
                for name, shape in shapes.items():
                    value = Parameter(empty(shape, device=device, dtype=dtype))
                    self.register_parameter(name + suffix, value)
        self.reset_parameters()

    def _check_dropout(self, dropout: Any) -> None:
        is_number = isinstance(dropout, Number) and not isinstance(dropout, bool)
        if not is_number or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the "
                "probability of an element being zeroed"
            )
        if dropout > 0 and self.num_layers == 1:
            text = LONELY_DROPOUT.format(dropout, self.num_layers)
            warnings.warn(text, UserWarning, stacklevel=4)

    def _check_arguments(self) -> None:
        """Raise PyTorch's errors for arguments that are out of bounds."""
        wanted: dict[str, Any] = {"bias": bool, "batch_first": bool}
        for name, kind in (wanted | {"input_size": int, "hidden_size": int}).items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} should be of type {kind.__name__}, got: "
                    f"{type(value).__name__}"
                )
            if kind is int and value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if self.proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if self.mode not in _MODES:
            raise ValueError(f"Unrecognized RNN mode: {self.mode}")

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """The parameters of a layer in one direction."""
        rows, state = _MODES[self.mode][0] * self.hidden_size, self._widths()[0]
        width = state * self._directions if layer else self.input_size
        shapes: dict[str, tuple[int, ...]]
        shapes = {"weight_ih": (rows, width), "weight_hh": (rows, state)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (state, self.hidden_size)
        return shapes

    def _widths(self) -> tuple[int, ...]:
        """The width of each part of the state: the first one is the output."""
        first = self.proj_size or self.hidden_size
        return (first, self.hidden_size) if self.mode == "LSTM" else (first,)

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [[self._parameters[name] for name in names] for names in self._names]

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

    def _layer(
        self, x: Tensor, suffix: str, state: list[Tensor], alive: Any
    ) -> tuple[Tensor, ...]:
        """A layer in one direction: the outputs of all steps, and the last state.

        Where a sequence is not ``alive``, which it is at all steps if that is None, its
        state stays as it is.
        """
        step = _MODES[self.mode][1]
        is_reversed = suffix.endswith("_reverse")
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        weights = [self._parameters.get(name + suffix) for name in names]

        def compute(
            u: Any, w: Any, v: Any, b: Any, c: Any, p: Any, *before: Any
        ) -> Any:
            moved = u @ w.T if b is None else u @ w.T + b
            outputs, current = [], tuple(before)
            places = range(moved.shape[0])
            for place in reversed(places) if is_reversed else places:
                after = step(moved[place], current, v, c)
                if p is not None:
                    after = (after[0] @ p.T, *after[1:])
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
        self._check_dtype(input)
        is_single = input._aval.ndim == 2
        if input._aval.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {input._aval.shape[-1]}"
            )
        x = input.unsqueeze(1) if is_single else input
        if self.batch_first and not is_single:
            x = x.transpose(0, 1)
        shapes = self._state_shapes(x._aval.shape[1])
        if state is None:
            state = tuple(zeros(shape, dtype=x.dtype) for shape in shapes)
        elif is_single:
            state = tuple(part.unsqueeze(1) for part in state)
        self._check_state(state, shapes)
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
        self._check_dtype(packed.data)
        x, _ = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))
        shapes = self._state_shapes(int(sizes[0]))
        if state is None:
            state = tuple(zeros(shape, dtype=x.dtype) for shape in shapes)
        elif packed.sorted_indices is not None:
            state = tuple(part.index_select(1, packed.sorted_indices) for part in state)
        self._check_state(state, shapes)
        alive = np.arange(sizes[0]) < sizes[:, None]
        x, ends = self._all_layers(x, state, alive[..., None])
        steps, sequences = rows_of(sizes)
        data = one("CatBackward0", lambda u: u[steps, sequences], x)
        if packed.unsorted_indices is not None:
            ends = [end.index_select(1, packed.unsorted_indices) for end in ends]
        return PackedSequence(data, *packed[1:]), ends

    def _check_dtype(self, input: Tensor) -> None:
        wanted = self.weight_ih_l0.dtype
        if input.dtype is not wanted:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype "
                f"({wanted}). Convert input: input.to({wanted}), or convert model: "
                f"model.to({input.dtype})"
            )

    def _state_shapes(self, batch: int) -> list[tuple[int, ...]]:
        count = self.num_layers * self._directions
        return [(count, batch, width) for width in self._widths()]

    @staticmethod
    def _check_state(state: Any, shapes: list[tuple[int, ...]]) -> None:
        for number, (part, wanted) in enumerate(zip(state, shapes, strict=True)):
            if part._aval.shape != wanted:
                which = f"[{number}]" if len(shapes) > 1 else ""
                raise RuntimeError(
                    f"Expected hidden{which} size {wanted}, got {list(part.shape)}"
                )

    def _all_layers(self, x: Any, state: Any, alive: Any) -> tuple[Any, list[Any]]:
        ends: list[list[Tensor]] = [[] for _ in self._widths()]
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
            "proj_size": 0,
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
