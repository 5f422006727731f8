"""Tensors on devices of jax: what runs there does the same, by whole programs."""

from __future__ import annotations

import copy
import io
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from torch_oracle import SNIPPETS, blocks, outcome, snippets

import fgrad.torch as torch
from fgrad.torch.devices import gpus
from fgrad.torch.remote import is_remote

F = torch.nn.functional
OPTIMISERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda params: torch.optim.SGD(params, 0.05, momentum=0.9, weight_decay=0.1),
    "adam": lambda params: torch.optim.Adam(params, 1e-2),
    "adamw": lambda params: torch.optim.AdamW(params, 1e-2, maximize=True),
    "rmsprop": lambda params: torch.optim.RMSprop(params, 1e-3),
    "adagrad": lambda params: torch.optim.Adagrad(params, 1e-2),
    "nadam": lambda params: torch.optim.NAdam(params, 1e-3),
}
# what the CPU alone can do, or where the text of a tensor is part of another text
ON_CPU_ONLY = re.compile(
    r"numpy|np\.|is_cpu|get_device|(repr|str)\(|'%s'|f'\{c\}|\.data\b|set_print"
)
IN_C_ORDER = "edges_layouts"  # results on a device lie in C order, whatever the axes
STEP = 15  # of so many snippets one runs, but all with -m slow


@pytest.fixture(autouse=True)
def _default_device() -> Iterator[None]:
    yield
    torch.set_default_device("cpu")


def _all_snippets() -> list[Any]:
    found: list[Any] = []
    for path in sorted(SNIPPETS.glob("*.txt")):
        if path.stem == IN_C_ORDER:
            continue
        is_blocks = path.read_text().startswith("# ")
        found += blocks(path.stem) if is_blocks else snippets(path.stem)
    return [x for x in found if not ON_CPU_ONLY.search(x.values[0])]


def _bare(text: str) -> str:
    """A text without the device, line breaks, and lines of errors."""
    if re.match(r"\w+(Error|Exception|Warning): ", text):
        text = text.split("\n")[0]
    text = text.replace("xla:0", "cpu").replace("device='cpu'", "")
    text = re.sub(r"device\(type='xla'(, index=0)?\)", "device(type='cpu')", text)
    return re.sub(r"[\s,]+", "", text)


def _agree(source: str) -> None:
    expected = outcome(source, torch)
    torch.set_default_device("xla")
    for time in ("learnt", "compiled"):
        found = outcome(source, torch)
        assert _bare(found) == _bare(expected), f"{time}: {found}\n{expected}"


@pytest.mark.parametrize("source", _all_snippets()[::STEP])
def test_snippet(source: str) -> None:
    _agree(source)


@pytest.mark.slow
@pytest.mark.parametrize("source", _all_snippets())
def test_every_snippet(source: str) -> None:
    _agree(source)


class Net(torch.nn.Module):
    """Some of what networks for images consist of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3, bias=False)
        self.norm = torch.nn.BatchNorm2d(4)
        self.drop = torch.nn.Dropout(0.2)
        self.out = torch.nn.Linear(4 * 3 * 3, 3)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return self.out(self.drop(x.flatten(1)))


def _trained(where: str, create: Callable[[Any], Any], steps: int = 6) -> list[Any]:
    torch.manual_seed(0)
    model = Net().to(where)
    optimiser = create(model.parameters())
    x, y = torch.randn(8, 1, 8, 8), torch.randint(0, 3, (8,))
    found: list[Any] = []
    for step in range(steps):
        model.train()
        loss = F.cross_entropy(model(x.to(where)), y.to(where))
        optimiser.zero_grad()
        loss.backward()
        if step % 2:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        model.eval()
        with torch.no_grad():
            scores = model(x.to(where))
        found += [loss.item(), scores.cpu().numpy()]
    assert {str(p.device) for p in model.parameters()} == {str(loss.device)}
    found += [p.detach().cpu().numpy() for p in model.parameters()]
    return found + [b.cpu().numpy() for b in model.buffers()]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_training_is_that_on_the_cpu(name: str) -> None:
    for here, there in zip(
        _trained("cpu", OPTIMISERS[name]),
        _trained("xla", OPTIMISERS[name]),
        strict=True,
    ):
        np.testing.assert_allclose(there, here, rtol=2e-4, atol=2e-5)


@pytest.mark.gpu
def test_training_on_a_gpu() -> None:
    create = OPTIMISERS["sgd"]
    for here, there in zip(
        _trained("cpu", create), _trained("cuda", create), strict=True
    ):
        np.testing.assert_allclose(there, here, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_step_stays_on_the_device(name: str) -> None:
    """Parameters, their state and their gradients are not read on the host."""
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    ).to("xla")
    optimiser = OPTIMISERS[name](model.parameters())
    x = torch.randn(16, 4, device="xla")
    for _ in range(4):
        loss = (model(x) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for p in model.parameters():
        held = [p, p.grad, *(v for v in optimiser.state[p].values() if v.ndim)]
        assert all("_remote" in vars(tensor) for tensor in held)
        assert not any(_has_array(tensor) for tensor in held)


def _has_array(tensor: Any) -> bool:
    try:
        object.__getattribute__(tensor, "_array")
    except AttributeError:
        return False
    return True


def test_views_and_writes_are_seen_on_the_device() -> None:
    w = torch.ones(3, device="xla", requires_grad=True)
    buffer = torch.zeros(2, 3, device="xla")
    row = buffer[0]
    for step in range(4):
        with torch.no_grad():
            row += 1
            buffer[1, step % 3] = 5.0
        (w * buffer).sum().backward()
        expected = np.zeros(3) + step + 1 + (buffer[1].cpu().numpy())
        assert w.grad.tolist() == expected.tolist()
        w.grad = None


def test_aliases_of_a_parameter_see_its_updates() -> None:
    w = torch.ones(3, device="xla", requires_grad=True)
    alias, optimiser = w.detach(), torch.optim.SGD([w], 1.0)
    for _ in range(3):
        optimiser.zero_grad()
        (w * w).sum().backward()
        optimiser.step()
        assert alias.tolist() == w.tolist()
    assert not is_remote(w)
    del alias
    optimiser.step()
    assert is_remote(w)


def test_gradients_add_up_on_the_device() -> None:
    w = torch.tensor([1.0, 2.0], device="xla", requires_grad=True)
    first = None
    for _ in range(4):
        (w * w).sum().backward()
        first = w.grad if first is None else first
    assert w.grad is first
    assert w.grad.tolist() == [8.0, 16.0]


def test_a_graph_over_two_devices() -> None:
    w = torch.ones(2, requires_grad=True)
    for _ in range(3):
        w.grad = None
        y = (w * 3).to("xla") * 2
        z = y.cpu().sum()
        assert (str(y.device), str(z.device)) == ("xla:0", "cpu")
        assert type(z.grad_fn.next_functions[0][0]).__name__ == "ToCopyBackward0"
        z.backward()
        assert w.grad.tolist() == [6.0, 6.0]
        assert str(w.grad.device) == "cpu"


def test_a_number_on_the_cpu_goes_with_a_device() -> None:
    scale = torch.tensor(3.0, requires_grad=True)
    x = torch.ones(2, device="xla", requires_grad=True)
    for _ in range(3):
        x.grad = scale.grad = None
        (x * scale).sum().backward()
        assert str(scale.grad) == "tensor(2.)"
        assert str(x.grad) == "tensor([3., 3.], device='xla:0')"


def test_second_derivatives() -> None:
    x = torch.tensor([1.0, 2.0], device="xla", requires_grad=True)
    for _ in range(3):
        (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x)
        assert str(h) == "tensor([ 6., 12.], device='xla:0')"


def test_printing() -> None:
    x = torch.arange(3, device="xla", dtype=torch.float64)
    assert str(x) == "tensor([0., 1., 2.], device='xla:0', dtype=torch.float64)"
    y = torch.ones(1, device="xla", requires_grad=True)
    assert str(y) == "tensor([1.], device='xla:0', requires_grad=True)"
    assert str(y * 2) == "tensor([2.], device='xla:0', grad_fn=<MulBackward0>)"


def test_default_device() -> None:
    torch.set_default_device("xla")
    assert str(torch.zeros(1).device) == "xla:0"
    assert torch.get_default_device() == torch.device("xla:0")
    seen = []
    other = threading.Thread(target=lambda: seen.append(torch.zeros(1).device))
    other.start()
    other.join()
    assert seen == [torch.device("cpu")]
    with torch.device("cpu"):
        assert str(torch.zeros(1).device) == "cpu"
    assert str(torch.nn.Linear(1, 1).weight.device) == "xla:0"
    torch.set_default_device(None)
    assert str(torch.zeros(1).device) == "cpu"


def test_arguments_that_name_a_device() -> None:
    x = torch.ones(2, device="xla")
    same = [x.to("xla"), x.to(torch.device("xla", 0)), x.to(x)]
    assert all(y is x for y in same)
    assert str(x.to("cpu", torch.float64)) == "tensor([1., 1.], dtype=torch.float64)"
    assert torch.zeros_like(x).device == torch.rand_like(x).device == x.device
    assert x.new_zeros(2).device == torch.tensor(x.tolist(), device="xla").device
    assert torch.zeros_like(x, device="cpu").device == torch.device("cpu")
    assert torch.as_tensor(np.ones(2), device="xla").device == x.device
    assert (x.is_cuda, x.is_cpu, x.is_xla, x.get_device()) == (False, False, True, 0)
    assert torch.nn.Linear(2, 2, device="xla").bias.device == x.device


def test_saving_and_loading() -> None:
    model, file = torch.nn.Linear(2, 1).to("xla"), io.BytesIO()
    torch.save(model.state_dict(), file)
    for where, expected in ((None, "xla:0"), ("cpu", "cpu"), ({"xla:0": "cpu"}, "cpu")):
        file.seek(0)
        state = torch.load(file, map_location=where)
        assert str(state["weight"].device) == expected
        assert state["weight"].tolist() == model.weight.tolist()
    twin = copy.deepcopy(model)
    assert twin.weight.device == model.weight.device
    twin.load_state_dict(torch.load(io.BytesIO(file.getvalue()), map_location="cpu"))
    assert str(twin.weight.device) == "xla:0"


def test_optimiser_state_moves_with_parameters() -> None:
    w = torch.ones(2, requires_grad=True)
    first = torch.optim.Adam([w])
    w.sum().backward()
    first.step()
    v = torch.ones(2, device="xla", requires_grad=True)
    second = torch.optim.Adam([v])
    second.load_state_dict(first.state_dict())
    assert str(second.state[v]["exp_avg"].device) == "xla:0"


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("x + c", RuntimeError, "at least two devices, xla:0 and cpu!"),
        ("x.mm(c)", RuntimeError, "at least two devices, xla:0 and cpu!"),
        ("torch.cat([c, x])", RuntimeError, "at least two devices, cpu and xla:0!"),
        ("F.linear(x, c)", RuntimeError, "at least two devices, xla:0 and cpu!"),
        ("torch.nn.Linear(2, 2)(x)", RuntimeError, "at least two devices"),
        ("x.numpy()", TypeError, "can't convert xla:0 device type tensor to numpy."),
        ("np.asarray(x)", TypeError, "can't convert xla:0 device type tensor"),
        ("c.to('xla:7')", RuntimeError, "'xla:7' is not there: jax sees"),
        ("c.to('mps')", NotImplementedError, "runs on 'cpu'"),
        ("torch.device('gpu')", RuntimeError, "Expected one of cpu, cuda,"),
        ("torch.device('xla:a')", RuntimeError, "Invalid device string: 'xla:a'"),
        ("setattr(w, 'grad', x)", RuntimeError, "with device type 'xla' to a tensor"),
    ],
)
def test_errors(source: str, error: type[Exception], message: str) -> None:
    x, c = torch.ones(2, 2, device="xla"), torch.ones(2, 2)
    w = torch.ones(2, 2, requires_grad=True)
    scope = {"x": x, "c": c, "w": w, "torch": torch, "np": np, "F": F}
    with pytest.raises(error, match=re.escape(message)):
        eval(source, scope)


@pytest.mark.skipif(bool(gpus()), reason="there is a GPU")
def test_without_a_gpu() -> None:
    assert not torch.cuda.is_available()
    assert torch.cuda.device_count() == 0
    assert torch.accelerator.current_accelerator() is None
    with pytest.raises(RuntimeError, match="jax sees 0 GPUs"):
        torch.ones(1).cuda()
    with pytest.raises(RuntimeError, match="jax sees 0 GPUs"):
        torch.nn.Linear(1, 1).cuda()


WITHOUT_JAX = """
import sys
sys.modules["jax"] = None
import fgrad.torch as torch
print(torch.ones(2).to("cpu"))
try:
    torch.ones(2).to("xla")
except RuntimeError as error:
    print(type(error).__name__, error)
"""


def test_without_jax() -> None:
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_JAX], capture_output=True, text=True, check=True
    )
    assert "tensor([1., 1.])" in found.stdout
    assert "pip install fgrad[jax]" in found.stdout


NARROW = """
import jax, fgrad.torch as torch
x = torch.ones(2, device="xla", dtype=torch.float64, requires_grad=True)
i = torch.arange(3, device="xla")
for _ in range(3):
    y = (x * 3).sum()
    y.backward()
print(y, x.grad.dtype, (i * 2).dtype, jax.config.jax_enable_x64)
"""


def test_64_bits_whatever_jax_is_configured_to_do() -> None:
    found = subprocess.run(
        [sys.executable, "-c", NARROW],
        capture_output=True,
        text=True,
        check=True,
        env={"JAX_PLATFORMS": "cpu", "PATH": ""},
    )
    assert found.stdout.split("\n")[0] == (
        "tensor(6., device='xla:0', dtype=torch.float64, grad_fn=<SumBackward0>) "
        "torch.float64 torch.int64 False"
    )
