"""Compiled updates: the bits of the rule as it is written, whatever happens between."""

from __future__ import annotations

import copy
import inspect
import io
from typing import Any

import numpy as np
import pytest
from torch_oracle import torch

import fgrad.torch as ftorch
from fgrad.torch.optim import bundles
from fgrad.torch.optim.bundles import BLOCK, SMALL
from fgrad.torch.optim.rule import compiled

SOURCES = [
    "SGD(p, lr=.1)",
    "SGD(p, lr=.1, weight_decay=.1, maximize=True)",
    "SGD(p, lr=.1, momentum=.9)",
    "SGD(p, lr=.1, momentum=.9, nesterov=True, weight_decay=.01)",
    "SGD(p, lr=.01, momentum=.9, dampening=.5, maximize=True)",
    "Adam(p, lr=.01)",
    "Adam(p, lr=.01, weight_decay=.1, amsgrad=True)",
    "AdamW(p, lr=.01, maximize=True)",
    "AdamW(p, lr=.01, amsgrad=True)",
    "RMSprop(p, lr=.01)",
    "RMSprop(p, lr=.01, momentum=.9, weight_decay=.01)",
    "RMSprop(p, lr=.01, centered=True, maximize=True)",
    "RMSprop(p, lr=.01, momentum=.9, centered=True)",
    "Adagrad(p, lr=.1, lr_decay=.1, weight_decay=.1)",
]
SHAPES: list[tuple[int, ...]] = [(3, 4), (), (5,), (SMALL + 1,), (2, BLOCK), (1,)]


def parameters(module: Any, dtype: str, shapes: Any = SHAPES) -> list[Any]:
    rng = np.random.default_rng(0)
    arrays = [np.array(rng.standard_normal(shape), dtype) for shape in shapes]
    return [module.nn.Parameter(module.from_numpy(array)) for array in arrays]


def give_gradients(module: Any, p: list[Any], step: int) -> None:
    """The gradients of a step, which do not depend on the parameters."""
    rng = np.random.default_rng(step)
    for x in p:
        array = np.array(rng.standard_normal(tuple(x.shape)))
        x.grad = module.from_numpy(array).to(x.dtype)


def build(source: str, p: list[Any], module: Any = ftorch, plain: bool = False) -> Any:
    """An optimiser; ``plain`` is one that runs its rule as it is written."""
    optimizer = eval(source, {**vars(module.optim), "p": p})
    if plain:
        kind = type(optimizer)

        class Plain(kind):
            def update(self, *args: Any) -> None:
                super().update(*args)

        optimizer.__class__ = Plain
    return optimizer


def run(optimizer: Any, p: list[Any], steps: range, module: Any = ftorch) -> None:
    for step in steps:
        give_gradients(module, p, step)
        optimizer.step()


def same(first: Any, second: Any) -> None:
    """The parameters and states of two optimisers have the same bits."""
    pairs = zip(first.param_groups, second.param_groups, strict=True)
    for x, y in (xy for a, b in pairs for xy in zip(a["params"], b["params"])):
        np.testing.assert_array_equal(x.detach().numpy(), y.detach().numpy())
        mine, other = first.state.get(x, {}), second.state.get(y, {})
        assert list(mine) == list(other)
        for name, entry in mine.items():
            assert entry.dtype == other[name].dtype
            np.testing.assert_array_equal(entry.numpy(), other[name].numpy())


def is_planned(optimizer: Any) -> bool:
    return bool(optimizer._plans)


def pair(source: str, dtype: str = "float64", shapes: Any = SHAPES) -> list[Any]:
    """A compiled optimiser and a plain one, each with its parameters."""
    made = []
    for plain in (False, True):
        p = parameters(ftorch, dtype, shapes)
        made += [build(source, p, plain=plain), p]
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", SOURCES)
def test_bits(source: str, dtype: str) -> None:
    first, p, second, q = pair(source, dtype)
    for optimizer, params in ((first, p), (second, q)):
        run(optimizer, params, range(4))
    assert is_planned(first) and not is_planned(second)
    same(first, second)


@pytest.mark.parametrize("source", SOURCES)
def test_floats_as_in_pytorch(source: str) -> None:
    results = []
    for module in (ftorch, torch):
        p = parameters(module, "float32", SHAPES[:4])
        run(build(source, p, module), p, range(5), module)
        results.append([x.detach().numpy() for x in p])
    for x, y in zip(*results, strict=True):
        np.testing.assert_allclose(x, y, 1e-5, 1e-6)


MOMENTUM, ADAM = SOURCES[2], SOURCES[5]


@pytest.mark.parametrize("source", [MOMENTUM, ADAM])
def test_gradients_that_come_and_go(source: str) -> None:
    first, p, second, q = pair(source)
    missing = [[], [], [], [0], [0], [0], [0, 3], [], [1, 2], [], [], [], [4], [4], []]
    for step, absent in enumerate(missing):
        for optimizer, params in ((first, p), (second, q)):
            give_gradients(ftorch, params, step)
            for number in absent:
                params[number].grad = None
            optimizer.step()
        same(first, second)
    assert is_planned(first)


def replace_state(optimizer: Any, p: list[Any]) -> None:
    for name in ("momentum_buffer", "exp_avg"):
        if name in optimizer.state[p[0]]:
            optimizer.state[p[0]][name] = ftorch.ones_like(p[0])


def forget_state(optimizer: Any, p: list[Any]) -> None:
    del optimizer.state[p[2]]


def change_state(optimizer: Any, p: list[Any]) -> None:
    for entry in optimizer.state[p[1]].values():
        entry.mul_(2)


def set_data(optimizer: Any, p: list[Any]) -> None:
    p[0].data = ftorch.ones(3, 4, dtype=ftorch.float64)
    p[4].data = ftorch.ones(2, BLOCK, dtype=ftorch.float64)


def change_data(optimizer: Any, p: list[Any]) -> None:
    with ftorch.no_grad():
        for x in p:
            x.mul_(0.5)


def load(optimizer: Any, p: list[Any]) -> None:
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def regroup(optimizer: Any, p: list[Any]) -> None:
    own = optimizer.param_groups[0]["params"]
    optimizer.param_groups[0]["params"] = own[1:]
    optimizer.add_param_group({"params": own[:1], "lr": 0.5})


def append(optimizer: Any, p: list[Any]) -> None:
    p.append(ftorch.nn.Parameter(ftorch.ones(2, dtype=ftorch.float64)))
    optimizer.param_groups[0]["params"].append(p[-1])


def option(optimizer: Any, p: list[Any]) -> None:
    optimizer.param_groups[0].update(lr=0.3, weight_decay=0.2, maximize=True)


def transpose(optimizer: Any, p: list[Any]) -> None:
    """Memory that is not contiguous, from here on."""
    p[0].data = ftorch.ones(4, 3, dtype=ftorch.float64).t()


EVENTS = [replace_state, forget_state, change_state, set_data, change_data, load]
EVENTS += [regroup, append, option, transpose]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("source", [MOMENTUM, ADAM])
def test_what_happens_between_steps(source: str, event: Any) -> None:
    first, p, second, q = pair(source)
    for optimizer, params in ((first, p), (second, q)):
        run(optimizer, params, range(4))
        event(optimizer, params)
        run(optimizer, params, range(4, 8))
    same(first, second)
    assert is_planned(first)


@pytest.mark.parametrize("source", [MOMENTUM, ADAM])
def test_parameters_that_share_memory(source: str) -> None:
    made = []
    for plain in (False, True):
        (x,) = parameters(ftorch, "float64", [(4,)])
        p = [x, ftorch.nn.Parameter(x.detach()[1:3]), ftorch.nn.Parameter(x.detach())]
        made.append(build(source, p, plain=plain))
        run(made[-1], p, range(4))
    same(*made)


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a large parameter are shared out where there are threads."""
    monkeypatch.setattr(bundles, "WORK_FOR_THREADS", 1)
    shapes = [(3,), (5 * BLOCK + 3,), (2,)]
    first, p, second, q = pair(ADAM, "float32", shapes)
    for optimizer, params in ((first, p), (second, q)):
        run(optimizer, params, range(6))
    same(first, second)


def test_the_memory_of_parameters_stays_where_it_is() -> None:
    p = parameters(ftorch, "float64")
    before = [x.detach().numpy() for x in p]
    run(build(ADAM, p), p, range(4))
    for x, array in zip(p, before, strict=True):
        assert np.shares_memory(x.detach().numpy(), array)


def test_state_that_somebody_else_sees_stays_where_it_is() -> None:
    """What was taken from a state before it is moved shows the later steps, too."""
    p = parameters(ftorch, "float64")
    optimizer = build(ADAM, p)
    run(optimizer, p, range(1))
    kept = optimizer.state[p[0]]["exp_avg"]
    array, view = kept.numpy(), optimizer.state[p[2]]["exp_avg"][1:]
    run(optimizer, p, range(1, 4))
    assert is_planned(optimizer)
    assert optimizer.state[p[0]]["exp_avg"] is kept
    assert array.tolist() == kept.tolist()
    assert view.tolist() == optimizer.state[p[2]]["exp_avg"][1:].tolist()


def test_versions_count_steps() -> None:
    p = parameters(ftorch, "float64")
    optimizer = build(ADAM, p)
    run(optimizer, p, range(2))
    entries = [*p, *(entry for x in p for entry in optimizer.state[x].values())]
    before = [x._version for x in entries]
    run(optimizer, p, range(2, 5))
    assert [x._version - y for x, y in zip(entries, before, strict=True)] == (
        [3] * len(entries)
    )


def test_backward_notices_a_step() -> None:
    """A saved parameter that a compiled step changed is refused."""
    p = parameters(ftorch, "float64")
    optimizer = build(ADAM, p)
    run(optimizer, p, range(3))
    loss = (p[0] * p[0]).sum() * 2
    give_gradients(ftorch, p, 3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_what_is_pending_is_computed_before_a_step() -> None:
    """A result that has been recorded, but not asked for, reads the old parameters."""
    p = parameters(ftorch, "float64", [(3,), (2,)])
    optimizer = build(ADAM, p)
    expected, found = [], []
    for step in range(6):
        expected.append((p[0].detach().numpy() ** 2).sum() * 3)
        found.append((p[0] * p[0]).sum() * 3)
        run(optimizer, p, range(step, step + 1))
    assert is_planned(optimizer)
    assert [x.item() for x in found] == pytest.approx(expected, rel=1e-14)


def test_numbers_that_change_compile_nothing() -> None:
    p = parameters(ftorch, "float64")
    optimizer = build(ADAM, p)
    run(optimizer, p, range(3))
    before = compiled.cache_info().misses
    scheduler = ftorch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    for step in range(3, 6):
        run(optimizer, p, range(step, step + 1))
        scheduler.step()
    optimizer.param_groups[0]["betas"] = (0.5, 0.6)
    run(optimizer, p, range(6, 8))
    assert compiled.cache_info().misses == before


def test_code_is_one_line_for_an_operation() -> None:
    """Twelve operations of Adam; what is computed on the way takes a block."""
    optimizer = build(ADAM, parameters(ftorch, "float32"))
    rule = optimizer.rule(optimizer.param_groups[0])
    kernel = compiled(rule, np.dtype("float32"), False)
    lines = inspect.getsource(kernel.run).splitlines()
    assert len(lines) == 1 + 12
    assert lines[1].strip() == "subtract(gradient, exp_avg, block0)"
    assert lines[4].strip() == "multiply(exp_avg_sq, kept, exp_avg_sq)"
    assert kernel.blocks == 1


def test_a_copied_optimiser_goes_on() -> None:
    p = parameters(ftorch, "float64")
    optimizer = build(ADAM, p)
    run(optimizer, p, range(3))
    copied = copy.deepcopy(optimizer)
    q = copied.param_groups[0]["params"]
    run(optimizer, p, range(3, 6))
    run(copied, q, range(3, 6))
    same(optimizer, copied)
    assert not any(x is y for x, y in zip(p, q, strict=True))


def test_gradients_that_are_not_contiguous() -> None:
    results = []
    for plain in (False, True):
        p = parameters(ftorch, "float64", [(3, 4), (300, 200), (2,)])
        optimizer = build(ADAM, p, plain=plain)
        for step in range(4):
            give_gradients(ftorch, p, step)
            for x in p[:2]:
                x.grad = x.grad.t().contiguous().t()
            optimizer.step()
        results.append(optimizer)
    assert is_planned(results[0])
    same(*results)


def test_memory_that_cannot_be_written() -> None:
    (x,) = parameters(ftorch, "float64", [(3,)])
    optimizer = build(ADAM, [x])
    run(optimizer, [x], range(3))
    x.data = ftorch.ones(1, dtype=ftorch.float64).expand(3)
    with pytest.raises(RuntimeError, match="more than one element"):
        run(optimizer, [x], range(3, 4))


@pytest.mark.parametrize("source", [MOMENTUM, ADAM])
def test_gradients_that_are_recorded(source: str) -> None:
    """Of ``backward(create_graph=True)``: their values count."""
    results = []
    for module in (ftorch, torch):
        p = parameters(module, "float64", [(3,), (2,)])
        optimizer = build(source, p, module)
        for _ in range(4):
            optimizer.zero_grad()
            loss = (p[0] ** 3).sum() * (p[1] ** 2).sum()
            (gradient,) = module.autograd.grad(loss, p[0], create_graph=True)
            p[0].grad = gradient
            p[1].grad = module.ones_like(p[1])
            optimizer.step()
        results.append([x.detach().numpy() for x in p])
    for x, y in zip(*results, strict=True):
        np.testing.assert_allclose(x, y, 1e-12)


def test_saving_and_loading_state_in_common_memory() -> None:
    p = parameters(ftorch, "float64")
    optimizer = build(ADAM, p)
    run(optimizer, p, range(3))
    file = io.BytesIO()
    ftorch.save(optimizer.state_dict(), file)
    file.seek(0)
    q = copy.deepcopy(p)
    other = build(ADAM, q)
    other.load_state_dict(ftorch.load(file))
    for each, params in ((optimizer, p), (other, q)):
        run(each, params, range(3, 7))
    same(optimizer, other)
    assert is_planned(other)


def test_a_step_asks_hooks_and_closures() -> None:
    p = parameters(ftorch, "float64", [(2,)])
    optimizer, seen = build(ADAM, p), []
    optimizer.register_step_pre_hook(lambda *_: seen.append(p[0].tolist()))
    optimizer.register_step_post_hook(lambda *_: seen.append(p[0].tolist()))

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p[0] ** 2).sum()
        loss.backward()
        return loss

    for _ in range(4):
        expected = (p[0].detach().numpy() ** 2).sum()
        assert optimizer.step(closure).item() == pytest.approx(expected, rel=1e-14)
        before, after = seen[-2:]
        assert before != after == p[0].tolist()
    assert is_planned(optimizer)
