"""Modules compute, learn, print and complain as PyTorch's with the same parameters."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, snippets, torch

import fgrad.torch as ftorch


@pytest.mark.parametrize("source", snippets("modules"))
def test_modules(source: str) -> None:
    agree(f"nn = torch.nn\n{source}")


# a module, and the shapes of its inputs
CASES = [
    ("Linear(3, 2)", [(4, 3)]),
    ("Bilinear(3, 2, 4)", [(5, 3), (5, 2)]),
    ("Conv1d(2, 4, 3, stride=2, padding=1, groups=2)", [(3, 2, 8)]),
    ("Conv2d(2, 3, 3, padding='same')", [(2, 2, 5, 4)]),
    ("Conv2d(2, 3, (2, 3), padding=(1, 2), padding_mode='circular')", [(2, 2, 5, 4)]),
    ("Conv3d(1, 2, 2)", [(1, 1, 3, 3, 3)]),
    ("ConvTranspose1d(2, 3, 3, stride=2)", [(2, 2, 4)]),
    ("ConvTranspose2d(2, 2, 3, 2, 1, output_padding=1, groups=2)", [(1, 2, 3, 3)]),
    ("BatchNorm1d(3)", [(5, 3)]),
    ("BatchNorm1d(3)", [(2, 3, 4)]),
    ("BatchNorm2d(2, momentum=.3)", [(2, 2, 3, 3)]),
    ("LayerNorm((3, 2))", [(4, 3, 2)]),
    ("GroupNorm(2, 4)", [(2, 4, 3)]),
    ("InstanceNorm2d(2, affine=True, track_running_stats=True)", [(2, 2, 3, 3)]),
    ("RMSNorm(3)", [(4, 3)]),
    ("PReLU(3)", [(4, 3)]),
    ("RNN(3, 4)", [(5, 2, 3)]),
    ("RNN(3, 4, 2, 'relu', bidirectional=True, batch_first=True)", [(2, 5, 3)]),
    ("LSTM(3, 4)", [(5, 2, 3)]),
    ("LSTM(3, 4, 2, bidirectional=True)", [(5, 2, 3)]),
    ("LSTM(3, 4, batch_first=True, bias=False)", [(2, 5, 3)]),
    ("LSTM(3, 4)", [(5, 3)]),
    ("GRU(3, 4, 2)", [(5, 2, 3)]),
    ("GRU(3, 4)", [(5, 2, 3), (1, 2, 4)]),
    ("RNNCell(3, 4)", [(2, 3), (2, 4)]),
    ("LSTMCell(3, 4)", [(2, 3)]),
    ("GRUCell(3, 4)", [(2, 3), (2, 4)]),
    ("MultiheadAttention(4, 2)", [(3, 2, 4), (5, 2, 4), (5, 2, 4)]),
    ("MultiheadAttention(4, 2, kdim=3, vdim=2, batch_first=True)",
     [(2, 3, 4), (2, 5, 3), (2, 5, 2)]),
    ("MultiheadAttention(4, 2, bias=False)", [(3, 4), (5, 4), (5, 4)]),
    ("TransformerEncoderLayer(4, 2, 8, dropout=0.)", [(3, 2, 4)]),
    ("TransformerEncoderLayer(4, 2, 8, 0., 'gelu', batch_first=True, norm_first=True)",
     [(2, 3, 4)]),
    ("TransformerEncoder(TransformerEncoderLayer(4, 2, 8, 0., batch_first=True), 2)",
     [(2, 3, 4)]),
    ("TransformerDecoderLayer(4, 2, 8, dropout=0.)", [(3, 2, 4), (5, 2, 4)]),
    ("Transformer(4, 2, 1, 1, 8, dropout=0., batch_first=True)",
     [(2, 3, 4), (2, 5, 4)]),
    ("Sequential(Conv2d(1, 2, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(8, 3))",
     [(2, 1, 6, 6)]),
    ("Sequential(Linear(3, 4), BatchNorm1d(4), Tanh(), Linear(4, 1))", [(5, 3)]),
]  # fmt: skip


def flat(result: Any) -> list[Any]:
    """The tensors of a result that requires gradients."""
    if isinstance(result, tuple | list):
        return [each for part in result for each in flat(part)]
    return [result]


def run(module: Any, model: Any, arrays: list[Any]) -> list[Any]:
    """Outputs and gradients of two calls, then the state, and an output of eval."""
    found = []
    for _ in range(2):
        inputs = [module.tensor(a, requires_grad=True) for a in arrays]
        outputs = flat(model(*inputs))
        sum((y * y).sum() for y in outputs).backward()
        found += [y.detach().numpy() for y in outputs]
        found += [x.grad.numpy() for x in inputs]
    found += [p.grad.numpy() for p in model.parameters()]
    found += [value.numpy() for value in model.state_dict().values()]
    model.eval()
    plain = [module.tensor(a) for a in arrays]
    found += [y.detach().numpy() for y in flat(model(*plain))]
    return found


@pytest.mark.parametrize(("source", "shapes"), CASES, ids=lambda x: str(x)[:60])
def test_values_and_gradients(source: str, shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    theirs = eval(source, vars(torch.nn)).double()
    ours = eval(source, vars(ftorch.nn)).double()
    state = {name: ftorch.tensor(x.numpy()) for name, x in theirs.state_dict().items()}
    assert str(ours.load_state_dict(state)) == "<All keys matched successfully>"
    assert repr(ours) == repr(theirs)
    for mine, other in zip(
        run(ftorch, ours, arrays), run(torch, theirs, arrays), strict=True
    ):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, 1e-9, 1e-11)


@pytest.mark.parametrize("mask", ["bool", "float", "padding", "both", "weights"])
def test_masks_of_attention(mask: str) -> None:
    results = []
    state = None
    for module in (torch, ftorch):
        model = module.nn.MultiheadAttention(4, 2, batch_first=True).double()
        state = state or {k: v.numpy() for k, v in model.state_dict().items()}
        model.load_state_dict({k: module.tensor(v) for k, v in state.items()})
        x = module.tensor(np.random.default_rng(1).standard_normal((2, 3, 4)))
        causal = module.triu(module.ones(3, 3), 1).bool()
        padding = module.tensor([[False, False, True], [False, False, False]])
        options = {
            "bool": {"attn_mask": causal},
            "float": {"attn_mask": module.zeros(3, 3).double() - 2 * causal},
            "padding": {"key_padding_mask": padding},
            "both": {"attn_mask": causal, "key_padding_mask": padding},
            "weights": {"need_weights": True, "average_attn_weights": False},
        }[mask]
        out, weights = model(x, x, x, **options)
        results.append([out.detach().numpy(), weights.detach().numpy()])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, 1e-9, 1e-11)


def test_a_model_of_ones_own() -> None:
    class Net(ftorch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = ftorch.nn.Parameter(ftorch.ones(1))
            self.layer = ftorch.nn.Linear(2, 1)

        def forward(self, x: Any) -> Any:
            return self.layer(x) * self.scale

    model = Net()
    other = copy.deepcopy(model)
    optimizer = ftorch.optim.SGD(model.parameters(), lr=0.1)
    x, y = ftorch.tensor([[1.0, 2.0], [3.0, -1.0]]), ftorch.tensor([[1.0], [-1.0]])
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ftorch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert not ftorch.equal(model.scale, other.scale)
    with pytest.raises(AttributeError, match=r"has no attribute 'layr'; near: layer"):
        _ = model.layr
    with pytest.raises(AttributeError, match=r"cannot assign module before"):
        type("Bad", (Net,), {"__init__": lambda self: setattr(self, "a", model)})()
