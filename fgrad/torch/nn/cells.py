"""One step of a recurrent network: functions of arrays, and modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch.creation import empty, zeros
from fgrad.torch.elementary import sigmoid_of
from fgrad.torch.nn import init
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.pointwise import relu_of
from fgrad.torch.recording import several
from fgrad.torch.tensor import Tensor

# A step takes what the input gives (its product with the weights), the state, and the
# weights and bias of the state; it returns the new state, of which the first part is
# the output.
State = tuple[Any, ...]
Step = Callable[[Any, State, Any, Any], State]


def _from_state(hidden: Any, weight: Any, bias: Any) -> Any:
    product = hidden @ weight.T
    return product if bias is None else product + bias


def tanh_step(given: Any, state: State, weight: Any, bias: Any) -> State:
    """A step of an Elman network."""
    return (np.tanh(given + _from_state(state[0], weight, bias)),)


def relu_step(given: Any, state: State, weight: Any, bias: Any) -> State:
    """A step of an Elman network with rectified units."""
    total = given + _from_state(state[0], weight, bias)
    return (relu_of(total),)


def lstm_step(given: Any, state: State, weight: Any, bias: Any) -> State:
    """A step of a long short-term memory."""
    hidden, cell = state
    gates = given + _from_state(hidden, weight, bias)
    width = cell.shape[-1]
    enter, forget, new, leave = (
        gates[..., k * width : (k + 1) * width] for k in range(4)
    )
    cell = sigmoid_of(forget) * cell + sigmoid_of(enter) * np.tanh(new)
    return sigmoid_of(leave) * np.tanh(cell), cell


def gru_step(given: Any, state: State, weight: Any, bias: Any) -> State:
    """A step of a gated recurrent unit."""
    (hidden,) = state
    recurrent = _from_state(hidden, weight, bias)
    width = hidden.shape[-1]
    parts = [slice(k * width, (k + 1) * width) for k in range(3)]
    reset, update = (
        sigmoid_of(given[..., part] + recurrent[..., part]) for part in parts[:2]
    )
    new = np.tanh(given[..., parts[2]] + reset * recurrent[..., parts[2]])
    return (new + update * (hidden - new),)


class RNNCellBase(Module):
    """What all steps of recurrent networks share: their parameters.

    Args:
        input_size: the width of the input.
        hidden_size: that of the state.
        bias: whether there is one.
        num_chunks: how many gates there are.

    >>> [name for name, _ in nn.RNNCellBase(2, 3, True, 4).named_parameters()]
    ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh']
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(empty(rows, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        for parameter in self.parameters():
            init.uniform_within(parameter, self.hidden_size)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias={self.bias}"


class _Cell(RNNCellBase):
    """One step as a module; a subclass gives the step and the number of gates."""

    gates: int
    states = 1
    node: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, self.gates, device, dtype)

    def _step(self) -> Step:
        raise NotImplementedError

    def _advance(self, input: Tensor, state: Any) -> tuple[Tensor, ...]:
        x = input
        if x._aval.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {x._aval.shape[-1]} expected "
                f"{self.input_size}"
            )
        if state is None:
            shape = (*x._aval.shape[:-1], self.hidden_size)
            state = (zeros(shape, dtype=x.dtype),) * self.states
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return _advanced(self.node, self._step(), x, weights, tuple(state))


def _advanced(
    node: str, step: Step, x: Tensor, weights: tuple[Any, ...], state: tuple[Any, ...]
) -> tuple[Tensor, ...]:
    def compute(u: Any, w: Any, v: Any, b: Any, c: Any, *before: Any) -> State:
        return step(_from_state(u, w, b), before, v, c)

    return several(node, compute, x, *weights, *state)


class RNNCell(_Cell):
    """A step of an Elman network: ``tanh(W_ih x + b_ih + W_hh h + b_hh)``.

    ``(batch, input_size)`` and a state ``(batch, hidden_size)``, zero by default, give
    the new state.

    >>> nn.RNNCell(3, 2)(torch.ones(4, 3)).shape
    torch.Size([4, 2])
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity
        self.node = "TanhBackward0" if nonlinearity == "tanh" else "ReluBackward0"

    def _step(self) -> Step:
        return tanh_step if self.nonlinearity == "tanh" else relu_step

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._advance(input, None if hx is None else (hx,))[0]

    def extra_repr(self) -> str:
        more = f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + (more if self.nonlinearity != "tanh" else "")


class LSTMCell(_Cell):
    """A step of a long short-term memory; the state is a pair ``(h, c)``.

    Inputs are ``(batch, input_size)``, states ``(batch, hidden_size)``; for the formula
    see `LSTM`.

    >>> h, c = nn.LSTMCell(3, 2)(torch.ones(4, 3))
    >>> h.shape, c.shape
    (torch.Size([4, 2]), torch.Size([4, 2]))
    """

    gates, states, node = 4, 2, "MulBackward0"

    def _step(self) -> Step:
        return lstm_step

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        hidden, cell = self._advance(input, hx)
        return hidden, cell


class GRUCell(_Cell):
    """A step of a gated recurrent unit.

    Inputs are ``(batch, input_size)``, states ``(batch, hidden_size)``; for the formula
    see `GRU`.

    >>> nn.GRUCell(3, 2)(torch.ones(4, 3)).shape
    torch.Size([4, 2])
    """

    gates, node = 3, "AddBackward0"

    def _step(self) -> Step:
        return gru_step

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._advance(input, None if hx is None else (hx,))[0]


_DOC = """One step of `nn.{}`, for weights that are given.

    Args:
        input: ``(batch, input_size)``.
        hx: the state, ``(batch, hidden_size)``, or a pair of such.
        w_ih: the weights of the input, a row for each unit of each gate.
        w_hh: the weights of the state.
        b_ih: a bias, or None.
        b_hh: another one.

    Raises:
        RuntimeError: shapes do not fit.
        TypeError: a state that should be a pair is none.

    >>> x, w_ih, w_hh = torch.ones(1, 2), torch.ones({rows}, 2), torch.ones({rows}, 3)
    >>> {call}.shape
    torch.Size([1, 3])
    """


def _check_step(gates: int, x: Tensor, state: Any, w_ih: Tensor) -> None:
    rows, width = w_ih._aval.shape
    batch, size = state[0]._aval.shape
    if x._aval.shape[1] != width:
        raise RuntimeError(
            f"input has inconsistent input_size: got {x._aval.shape[1]} expected "
            f"{width}"
        )
    if x._aval.shape[0] != batch:
        raise RuntimeError(
            f"Input batch size {x._aval.shape[0]} doesn't match hidden0 batch size "
            f"{batch}"
        )
    if rows != gates * size:
        raise RuntimeError(
            f"weight_ih first dim must be {gates} * hidden_size = {gates * size}, but "
            f"got {rows}"
        )


def _step_function(name: str, kind: str, node: str, gates: int, step: Step) -> Any:
    is_pair = name == "lstm_cell"

    def advance(
        input: Tensor,
        hx: Any,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Any:
        if is_pair and not isinstance(hx, tuple | list):
            raise TypeError(
                f"{name}(): argument 'hx' (position 2) must be tuple of Tensors, not "
                f"{type(hx).__name__}"
            )
        state = tuple(hx) if is_pair else (hx,)
        _check_step(gates, input, state, w_ih)
        found = _advanced(node, step, input, (w_ih, w_hh, b_ih, b_hh), state)
        return tuple(found) if is_pair else found[0]

    state = "(torch.ones(1, 3), torch.ones(1, 3))" if is_pair else "torch.ones(1, 3)"
    call = f"torch.{name}(x, {state}, w_ih, w_hh)" + "[0]" * is_pair
    advance.__name__ = advance.__qualname__ = name
    advance.__doc__ = _DOC.format(kind, rows=3 * gates, call=call)
    return advance


rnn_tanh_cell = _step_function(
    "rnn_tanh_cell", "RNNCell", "TanhBackward0", 1, tanh_step
)
rnn_relu_cell = _step_function(
    "rnn_relu_cell", "RNNCell", "ReluBackward0", 1, relu_step
)
gru_cell = _step_function("gru_cell", "GRUCell", "AddBackward0", 3, gru_step)
lstm_cell = _step_function("lstm_cell", "LSTMCell", "MulBackward0", 4, lstm_step)
