"""Optimisers and schedulers give PyTorch's numbers, state dicts and errors."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, torch

import fgrad.torch as ftorch

OPTIMIZERS = [
    "SGD(p, lr=.1)",
    "SGD(p, lr=.1, momentum=.9)",
    "SGD(p, lr=.1, momentum=.9, nesterov=True, weight_decay=.01)",
    "SGD(p, lr=.01, momentum=.9, dampening=.5, maximize=True)",
    "SGD([{'params': p[:1], 'lr': .5}, {'params': p[1:]}], lr=.01)",
    "Adam(p)",
    "Adam(p, lr=.05, betas=(.8, .99), weight_decay=.1)",
    "Adam(p, lr=.05, amsgrad=True)",
    "AdamW(p, lr=.05)",
    "AdamW(p, lr=.05, weight_decay=.5, amsgrad=True, maximize=True)",
    "NAdam(p, lr=.05)",
    "RAdam(p, lr=.05, weight_decay=.1)",
    "ASGD(p, lr=.05)",
    "ASGD(p, lr=.05, lambd=.01, alpha=.5, t0=3, weight_decay=.1)",
    "RAdam(p, betas=(.5, .9), decoupled_weight_decay=True, weight_decay=.1)",
    "Adamax(p, lr=.05, weight_decay=.1)",
    "RMSprop(p, lr=.05)",
    "RMSprop(p, lr=.05, momentum=.9, centered=True, weight_decay=.01)",
    "Adagrad(p, lr=.5, lr_decay=.1, initial_accumulator_value=.1)",
    "Adadelta(p, lr=.5, rho=.8)",
    "Rprop(p, lr=.05)",
    "Adafactor(p, lr=.05)",
    "Adafactor(p, lr=.02, eps=(1e-3, .1), d=2., weight_decay=.1, maximize=True)",
    "Adafactor(p, beta2_decay=-.5)",
    "LBFGS(p, lr=.1, max_iter=4)",
    "LBFGS(p, max_iter=5, history_size=3, line_search_fn='strong_wolfe')",
]


def parameters(module: Any) -> list[Any]:
    options = {"dtype": module.float64, "requires_grad": True}
    first = module.tensor([[0.3, -1.2], [2.0, 0.7]], **options)
    return [first, module.tensor([1.5, -0.5], **options)]


def loss_of(p: list[Any]) -> Any:
    weight, bias = p
    out = (weight * weight * bias).sin().sum() + ((weight @ bias) ** 2).sum() * 0.1
    return out + (bias - 2).pow(2).sum()


def train(module: Any, source: str, steps: int = 8) -> tuple[Any, list[Any]]:
    p = parameters(module)
    optimizer = eval(source, {**vars(module.optim), "p": p})
    history = []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = loss_of(p)
        loss.backward()
        return loss

    for _ in range(steps):
        history.append(optimizer.step(closure).item())
        history.append(np.concatenate([x.detach().numpy().ravel() for x in p]))
    return optimizer, history


@pytest.mark.parametrize("source", OPTIMIZERS)
def test_steps(source: str) -> None:
    """Losses and parameters after each step; then what the optimiser holds."""
    (ours, mine), (theirs, other) = train(ftorch, source), train(torch, source)
    for x, y in zip(mine, other, strict=True):
        np.testing.assert_allclose(x, y, 1e-9, 1e-11)
    assert repr(ours) == repr(theirs)
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    assert ours["state"].keys() == theirs["state"].keys()
    for number, state in theirs["state"].items():
        assert set(ours["state"][number]) >= set(state) - {"al", "prev_flat_grad"}


@pytest.mark.parametrize("source", [OPTIMIZERS[1], OPTIMIZERS[6], OPTIMIZERS[15]])
def test_resuming(source: str) -> None:
    """A copy that loads the state goes on as the original does."""
    optimizer, _ = train(ftorch, source, 4)
    params = [x for group in optimizer.param_groups for x in group["params"]]
    copies = copy.deepcopy(params)
    other = eval(source, {**vars(ftorch.optim), "p": copies})
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, p in ((optimizer, params), (other, copies)):
        each.zero_grad()
        loss_of(p).backward()
        each.step()
    for x, y in zip(params, copies, strict=True):
        assert x.tolist() == y.tolist()


@pytest.mark.parametrize("name", [None, "original", "match_rms_adamw"])
@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (7, 4)])
def test_muon(name: str | None, shape: tuple[int, int]) -> None:
    """Parameters after some steps, whose updates have eight bits."""
    rng = np.random.default_rng(0)
    start, gradient = rng.standard_normal((2, *shape))
    found = []
    for module in (ftorch, torch):
        x: Any = module.tensor(start, requires_grad=True)
        optim: Any = module.optim
        options = {"lr": 0.1, "momentum": 0.9, "nesterov": name is None}
        o = optim.Muon([x], adjust_lr_fn=name, **options)
        for step in range(4):
            x.grad = module.tensor(gradient * (step - 1.3))
            o.step()
        found.append((x.detach().numpy(), o.state[x]["momentum_buffer"].numpy()))
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, 1e-2, 2e-3)


ERRORS = [
    "optim.SGD([], lr=.1)",
    "optim.SGD(c, lr=.1)",
    "optim.SGD([y], lr=.1)",
    "optim.SGD([1], lr=.1)",
    "optim.SGD([x], lr=-1)",
    "optim.SGD([x], lr=.1, nesterov=True)",
    "optim.SGD([x], momentum=-1)",
    "optim.SGD([{'params': x}, {'params': [x]}])",
    "optim.Adam([x], betas=(1., 0))",
    "optim.Adam([x], eps=-1)",
    "optim.SGD([x], lr=.1, momentum=.9)",
    "optim.Adam([x])",
    "optim.LBFGS([x])",
    "optim.SGD([x], lr=.1).state_dict()",
    "o = optim.Adam([x]) ;; x.sum().backward() ;; o.step() ;; r = o.state_dict()",
    "o = optim.SGD([x], .1) ;; x.sum().backward() ;; o.zero_grad() ;; r = x.grad",
    "o = optim.SGD([x]) ;; x.sum().backward() ;; o.zero_grad(False) ;; r = x.grad",
    "optim.Adafactor([x], lr=-1)",
    "optim.Adafactor([x], lr=torch.ones(2))",
    "optim.Adafactor([x], beta2_decay=1)",
    "optim.Adafactor([x], eps=(-1, 1))",
    "optim.Adafactor([x], eps=(None, -1))",
    "optim.Adafactor([x], d=.5)",
    "optim.Adafactor([x], weight_decay=-1)",
    "z = torch.ones(1) * 1j ;; z.requires_grad_() ;; z.abs().sum().backward() ;; "
    "optim.Adafactor([z]).step()",
    "o = optim.Adafactor([x]) ;; x.sum().backward() ;; o.step() ;; r = o.state_dict()",
    "optim.Muon([x])",
    "optim.Muon([w])",
    "optim.Muon([x], lr=-1)",
    "optim.Muon([x], momentum=-1)",
    "optim.Muon([x], weight_decay=-1)",
    "optim.Muon([x], adjust_lr_fn='a')",
    "o = optim.Muon([x], ns_steps=100) ;; x.sum().backward() ;; o.step()",
    "o = optim.Muon([x], ns_coefficients=(1, 2)) ;; x.sum().backward() ;; o.step()",
    "o = optim.Muon([x]) ;; x.sum().backward() ;; o.step() ;; r = o.state_dict()",
    "optim.lr_scheduler.StepLR(c, 2)",
    "o = optim.SGD([x]) ;; s = optim.lr_scheduler.StepLR(o, 2) ;; s.step()",
    "o = optim.SGD([x]) ;; r = optim.lr_scheduler.StepLR(o, 2).get_last_lr()",
    "o = optim.SGD([x]) ;; s = optim.lr_scheduler.ReduceLROnPlateau(o, factor=2)",
]


@pytest.mark.parametrize("source", ERRORS)
def test_errors_and_texts(source: str) -> None:
    agree("optim = torch.optim\n" + source.replace(" ;; ", "\n"))


SCHEDULES = [
    "LambdaLR(o, lambda k: .9 ** k)",
    "LambdaLR(o, [lambda k: .9 ** k, lambda k: 1 / (k + 1)])",
    "MultiplicativeLR(o, lambda k: .9)",
    "StepLR(o, 3, gamma=.5)",
    "MultiStepLR(o, [2, 5, 5], gamma=.3)",
    "ConstantLR(o, factor=.5, total_iters=4)",
    "LinearLR(o, start_factor=.2, total_iters=5)",
    "ExponentialLR(o, .8)",
    "PolynomialLR(o, total_iters=6, power=2.)",
    "CosineAnnealingLR(o, 5, eta_min=.001)",
    "CosineAnnealingWarmRestarts(o, 3, 2)",
    "OneCycleLR(o, max_lr=.4, total_steps=12)",
    "OneCycleLR(o, max_lr=.4, total_steps=12, anneal_strategy='linear', "
    "three_phase=True)",
    "CyclicLR(o, .01, .1, step_size_up=3)",
    "CyclicLR(o, .01, .1, step_size_up=3, mode='triangular2')",
    "CyclicLR(o, .01, .1, step_size_up=3, mode='exp_range', gamma=.9)",
    "SequentialLR(o, [ConstantLR(o, .1, 2), ExponentialLR(o, .9)], [3])",
    "ChainedScheduler([ConstantLR(o, .1, 2), ExponentialLR(o, .9)])",
    "ReduceLROnPlateau(o, patience=1, factor=.5)",
    "ReduceLROnPlateau(o, 'max', patience=0, cooldown=1, threshold_mode='abs')",
]


@pytest.mark.parametrize("source", SCHEDULES)
def test_schedules(source: str) -> None:
    """The rates (and momenta) of both groups over twelve steps."""
    results = []
    for module in (ftorch, torch):
        p = parameters(module)
        groups = [{"params": p[:1]}, {"params": p[1:], "lr": 0.02}]
        o = module.optim.SGD(groups, lr=0.2, momentum=0.5)
        names = {**vars(module.optim.lr_scheduler), "o": o}
        measures = [3.0, 2.0, 2.0, 2.0, 2.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own of step(epoch)
            scheduler = eval(source, names)
            rates = [[(g["lr"], g["momentum"]) for g in o.param_groups]]
            for measure in measures:
                o.step()
                given = (measure,) if "Plateau" in source else ()
                scheduler.step(*given)
                rates.append([(g["lr"], g["momentum"]) for g in o.param_groups])
                assert scheduler.get_last_lr() == [g["lr"] for g in o.param_groups]
        results.append(rates)
    np.testing.assert_allclose(results[0], results[1], 1e-12)


@pytest.mark.parametrize("order", [2.0, 1.0, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping(order: float, limit: float, dtype: str) -> None:
    """The norms, and the gradients after each way to clip them."""
    rng = np.random.default_rng(0)
    arrays = [np.array(rng.standard_normal(s), dtype) for s in [(3, 4), (), (30, 20)]]
    arrays.append(np.array([1.0, np.nan, np.inf, -np.inf], dtype))
    results = []
    for module in (ftorch, torch):
        found = []
        for count in (3, 4):  # with and without NaN
            params = []
            for array in arrays[:count]:
                params.append(module.from_numpy(array.copy()).requires_grad_())
                params[-1].grad = module.from_numpy(np.asarray(array.T * 2).T)
            norm = module.nn.utils.clip_grad_norm_(params, limit, order)
            found += [norm, *(x.grad.clone() for x in params)]
            module.nn.utils.clip_grad_value_(params, 0.25)
            found += [x.grad for x in params]
        results.append([x.numpy() for x in found])
    for x, y in zip(*results, strict=True):
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        np.testing.assert_allclose(x, y, {"float32": 1e-6, "float64": 1e-14}[dtype])
