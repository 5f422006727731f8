"""Schedules of learning rates: PyTorch's rates, states, warnings and errors."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from torch_oracle import agree, torch

import fgrad.torch

RAISING = "lambda k: 1 + k / 10"
SCHEDULES = [
    f"LambdaLR(o, [{RAISING}, lambda k: .9 ** k])",
    f"MultiplicativeLR(o, {RAISING})",
    "StepLR(o, 4, gamma=1.5)",
    "MultiStepLR(o, [0, 3, 3, 17], gamma=.3)",
    "ConstantLR(o, .25, 7)",
    "LinearLR(o, 1., .1, 20)",
    "LinearLR(o, .1, 1., 20)",
    "LinearLR(o, .5, .5, 3)",
    "LinearLR(o, .5, 0., 3)",
    "PolynomialLR(o, 20, 1.5)",
    "CosineAnnealingLR(o, 7, .01)",
    "CosineAnnealingWarmRestarts(o, 4, 2, .01)",
    "CosineAnnealingWarmRestarts(o, 4)",
    "OneCycleLR(o, .4, 30)",
    "OneCycleLR(o, [.4, .2], epochs=5, steps_per_epoch=6, pct_start=.2, "
    "anneal_strategy='linear', three_phase=True, base_momentum=[.5, .6])",
    "OneCycleLR(o, .4, 30, cycle_momentum=False)",
    "CyclicLR(o, [.01, .02], [.1, .3], 4, 7, base_momentum=[.5, .6], max_momentum=.9)",
    "CyclicLR(o, .01, .1, 4, scale_fn=lambda x: 1 / (x + 1))",
    "CyclicLR(o, .01, .1, 4, scale_fn=lambda x: .9 ** x, scale_mode='iterations')",
    "CyclicLR(o, .01, .1, 4, mode='exp_range', gamma=.9, cycle_momentum=False)",
    "CyclicLR(o, .01, .1, 4, 2, mode='triangular2')",
]
SCHEDULES += [
    "SWALR(o, .05)",
    "SWALR(o, [.5, .05], 4, 'linear')",
    "SWALR(o, .05, anneal_epochs=0)",
    "SWALR(o, .05, 35, anneal_strategy='linear')",
    "SequentialLR(o, [ExponentialLR(o, .9), SWALR(o, .05, 5)], [6])",
]
PARTS = ["ConstantLR(o, .1, 2)", "LinearLR(o, .1, 1., 5)", "ExponentialLR(o, .9)"]
PARTS += ["CosineAnnealingLR(o, 10)", "StepLR(o, 2, .5)", f"LambdaLR(o, {RAISING})"]
PARTS += ["PolynomialLR(o, 12, 2.)", "MultiStepLR(o, [1, 4])"]
PARTS += ["CosineAnnealingWarmRestarts(o, 3, 2)", f"MultiplicativeLR(o, {RAISING})"]
SCHEDULES += [
    f"SequentialLR(o, [{first}, {second}], [{milestone}])"
    for k, first in enumerate(PARTS)
    for second in (PARTS[(k + 1) % len(PARTS)], PARTS[(k + 3) % len(PARTS)])
    for milestone in (0, 1, 5)
]
SCHEDULES += [
    f"SequentialLR(o, [{', '.join(PARTS[:3])}], [3, 9])",
    f"SequentialLR(o, [{', '.join(PARTS[2:6])}], [4, 4, 11])",
    f"SequentialLR(o, [{', '.join(PARTS[4:7])}], [0, 0])",
    f"SequentialLR(o, [{PARTS[7]}], [])",
    f"ChainedScheduler([{', '.join(PARTS[:3])}])",
    f"ChainedScheduler([{', '.join(PARTS[3:])}], optimizer=o)",
    f"ChainedScheduler([{PARTS[1]}, ChainedScheduler([{PARTS[2]}, {PARTS[4]}])])",
    f"SequentialLR(o, [ChainedScheduler([{PARTS[0]}, {PARTS[2]}]), {PARTS[3]}], [6])",
    f"SequentialLR(o, [SequentialLR(o, [{PARTS[0]}, {PARTS[2]}], [3]), {PARTS[3]}], "
    "[6])",
    f"ChainedScheduler([SequentialLR(o, [{PARTS[0]}, {PARTS[2]}], [3]), {PARTS[4]}])",
]


@pytest.mark.parametrize("source", SCHEDULES)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_rates(source: str, name: str) -> None:
    """Rates and momenta of both groups over 30 steps, and the states at the end."""
    assert trajectory(source, name, fgrad.torch) == trajectory(source, name, torch)


def trajectory(source: str, name: str, module: Any) -> list[Any]:
    """What a schedule sets and warns of, step by step; half of it after a reload."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        o, scheduler = scheduled(source, name, module)
        found = [shown(o, scheduler)]
        for step in range(30):
            if step == 15:
                before = scheduler.state_dict()
                optimizer_before = o.state_dict()
                o, scheduler = scheduled(source, name, module)
                o.step()
                scheduler.load_state_dict(before)
                o.load_state_dict(optimizer_before)
            o.step()
            scheduler.step()
            found.append(shown(o, scheduler))
    return [*found, state(scheduler), *(str(w.message) for w in caught)]


def scheduled(source: str, name: str, module: Any) -> tuple[Any, Any]:
    x = module.ones(2, requires_grad=True)
    y = module.ones(3, requires_grad=True)
    groups = [{"params": [x]}, {"params": [y], "lr": 0.02}]
    extra = {"momentum": 0.5} if name == "SGD" else {}
    o = getattr(module.optim, name)(groups, lr=0.2, **extra)
    names = {"SWALR": module.optim.swa_utils.SWALR, **vars(module.optim.lr_scheduler)}
    return o, eval(source, {**names, "o": o})


def shown(o: Any, scheduler: Any) -> str:
    groups = [(g["lr"], g.get("momentum"), g.get("betas")) for g in o.param_groups]
    return f"{groups} {scheduler.get_last_lr()} {getattr(scheduler, 'last_epoch', '')}"


def state(scheduler: Any) -> str:
    """The state, in the order of names."""
    given = scheduler.state_dict()
    inner = given.pop("_schedulers", [])
    for each in inner:
        each.pop("_schedulers", None)
    return repr([sorted(each.items()) for each in (given, *inner)])


PRELUDE = """
O = torch.optim
S = O.lr_scheduler
W = O.swa_utils
x = torch.ones(2, requires_grad=True)
o, p = O.SGD([x], .1), O.SGD([x], .1, momentum=.9)
""".strip()
TEXTS = [
    "S.LinearLR(o, 0.)",
    "S.LinearLR(o, 1.5)",
    "S.LinearLR(o, .5, 1.5)",
    "S.LinearLR(o, .5, -.1)",
    "S.ConstantLR(o, 1.1)",
    "S.SequentialLR(o, [], [])",
    "S.SequentialLR(o, [S.StepLR(o, 2)], [1])",
    "S.SequentialLR(o, [S.StepLR(o, 2), S.StepLR(p, 2)], [1])",
    "S.SequentialLR(o, [S.StepLR(o, 2), S.ReduceLROnPlateau(o)], [1])",
    "S.SequentialLR(o, [S.StepLR(o, 2), 3], [1])",
    "S.ChainedScheduler([])",
    "S.ChainedScheduler([S.StepLR(o, 2), S.StepLR(p, 2)])",
    "S.ChainedScheduler([S.StepLR(o, 2)], optimizer=p)",
    "S.ChainedScheduler([S.ReduceLROnPlateau(o)])",
    "S.ChainedScheduler([S.StepLR(o, 2), 3])",
    "S.StepLR(3, 2)",
    "S.StepLR(o, 2, last_epoch=3)",
    "S.LambdaLR(o, [])",
    "S.MultiplicativeLR(o, 3)",
    "S.MultiplicativeLR(o, [])",
    "S.CosineAnnealingWarmRestarts(o, 0)",
    "S.CosineAnnealingWarmRestarts(o, 2, 0)",
    "S.CosineAnnealingWarmRestarts(o, 2, 1, 'a')",
    "S.CosineAnnealingWarmRestarts(o, 2).step(-1)",
    "S.OneCycleLR(o, .1)",
    "S.OneCycleLR(o, .1, 0)",
    "S.OneCycleLR(o, .1, 2.)",
    "S.OneCycleLR(o, .1, epochs=0, steps_per_epoch=3)",
    "S.OneCycleLR(o, .1, epochs=2, steps_per_epoch=.3)",
    "S.OneCycleLR(p, .1, 10, pct_start=1)",
    "S.OneCycleLR(p, .1, 10, pct_start=1.5)",
    "S.OneCycleLR(p, .1, 10, anneal_strategy='a')",
    "S.OneCycleLR(p, [.1, .2], 10)",
    "S.OneCycleLR(O.Rprop([x]), .1, 10)",
    "S.OneCycleLR(3, .1, 10)",
    "S.CyclicLR(O.Rprop([x]), .1, 10)",
    "S.CyclicLR(p, .1, .2, mode='a')",
    "S.CyclicLR(p, [.1, .2], .2)",
    "S.CyclicLR(3, .1, .2)",
    "S.ReduceLROnPlateau(3)",
    "S.ReduceLROnPlateau(o, min_lr=[1, 2])",
    "S.ReduceLROnPlateau(o, mode='a')",
    "S.ReduceLROnPlateau(o, threshold_mode='a')",
    "S.ReduceLROnPlateau(o).state_dict()",
    "s = S.ReduceLROnPlateau(o) ;; s.step(1., 3) ;; r = s.last_epoch, s.in_cooldown",
    "s = S.ReduceLROnPlateau(o, patience=0, min_lr=[.01]) ;; o.add_param_group("
    "{'params': [torch.ones(1, requires_grad=True)]}) ;; s.step(1.) ;; s.step(1.)",
    "s = S.StepLR(o, 2) ;; r = s.get_lr(), s.state_dict()",
    "s = S.StepLR(o, 2) ;; o.step() ;; s.step(5) ;; r = s.get_last_lr()",
    "s = S.ExponentialLR(o, .5) ;; o.step() ;; s.step(5) ;; r = s.get_last_lr()",
    "s = S.LambdaLR(o, lambda k: .5) ;; o.step() ;; s.step(5) ;; r = s.get_last_lr()",
    "s = S.MultiStepLR(o, [1, 3]) ;; o.step() ;; s.step(2) ;; r = s.get_last_lr()",
    "s = S.PolynomialLR(o, 4) ;; o.step() ;; s.step(2) ;; r = s.get_last_lr()",
    "s = S.CosineAnnealingLR(o, 4) ;; o.step() ;; s.step(2) ;; r = s.get_last_lr()",
    "s = S.LinearLR(o, .1, 1., 4) ;; o.step() ;; s.step(2) ;; r = s.get_last_lr()",
    "s = S.ConstantLR(o, .1, 4) ;; o.step() ;; s.step(2) ;; r = s.get_last_lr()",
    "s = S.CosineAnnealingWarmRestarts(o, 3, 2) ;; r = [(s.step(k), s.get_last_lr(), "
    "s.T_i) for k in (0., .5, 2.9, 3., 8.9, 9, 30.5)]",
    "o.param_groups[0]['initial_lr'] = .4 ;; s = S.CosineAnnealingLR(o, 8, last_epoch="
    "3) ;; r = s.get_last_lr(), s.last_epoch",
    "o.param_groups[0]['initial_lr'] = .4 ;; s = S.LinearLR(o, .1, 1., 8, last_epoch=3)"
    " ;; r = s.get_last_lr(), s.last_epoch",
    "o.param_groups[0]['initial_lr'] = .4 ;; s = S.ExponentialLR(o, .1, last_epoch=3)"
    " ;; r = s.get_last_lr(), s.last_epoch",
    "s = S.LRScheduler(o)",
    "s = S.SequentialLR(o, [S.StepLR(o, 2)], []) ;; s.step(3)",
    "W.SWALR(o, .1, anneal_strategy='a')",
    "W.SWALR(o, .1, -1)",
    "W.SWALR(o, .1, 1.5)",
    "W.SWALR(o, [.1, .2])",
    "s = W.SWALR(o, .2) ;; r = s.get_lr(), s.state_dict(), o",
    "W.get_ema_avg_fn(1.5)",
    "W.get_ema_multi_avg_fn(-1)",
    "W.AveragedModel(torch.nn.ReLU(), avg_fn=max, multi_avg_fn=max)",
]


@pytest.mark.parametrize("source", TEXTS)
def test_texts(source: str) -> None:
    agree(PRELUDE + "\n" + source.replace(" ;; ", "\n"))


def test_state_keeps_attributes_of_callable_objects() -> None:
    class Factor:
        def __init__(self, size: float) -> None:
            self.size = size

        def __call__(self, step: int) -> float:
            return self.size

    found = []
    for module in (fgrad.torch, torch):
        o: Any = module.optim.SGD([module.ones(1, requires_grad=True)], 0.1, 0.9)
        schedules: Any = module.optim.lr_scheduler
        for make in (schedules.LambdaLR, schedules.MultiplicativeLR):
            scheduler = make(o, Factor(0.5))
            other = make(o, Factor(0.1))
            other.load_state_dict(scheduler.state_dict())
            found.append((scheduler.state_dict(), other.lr_lambdas[0].size))
        cyclic = schedules.CyclicLR(o, 0.1, 1.0, scale_fn=Factor(0.5))
        found.append(cyclic.state_dict()["_scale_fn_custom"])
    assert repr(found[:3]) == repr(found[3:])


AVERAGES = [
    "",
    "use_buffers=True",
    "avg_fn=W.get_ema_avg_fn(.9)",
    "avg_fn=W.get_ema_avg_fn(.9), use_buffers=True",
    "multi_avg_fn=W.get_ema_multi_avg_fn(.9), use_buffers=True",
    "multi_avg_fn=W.get_swa_multi_avg_fn()",
    "avg_fn=lambda average, new, count: average + new * count",
]


@pytest.mark.parametrize("options", AVERAGES)
def test_averaged_models(options: str) -> None:
    """Averages of parameters and buffers, then statistics over a loader."""
    agree(f"""
W, nn = torch.optim.swa_utils, torch.nn
model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, momentum=.2), nn.Linear(3, 1))
averaged = W.AveragedModel(model, {options})
data = torch.arange(8.).reshape(4, 2).cos()
for step in range(4):
    with torch.no_grad():
        for k, p in enumerate(model.parameters()):
            new = (torch.arange(float(p.numel())) * 7 + k * step) % 11
            p.copy_(new.view(p.shape) / 4)
        averaged.module.train(step % 2 == 0)
    model(data + step)
    averaged.update_parameters(model)
found = [x + 0 for x in averaged.state_dict().values()]
W.update_bn([(data, 1), [data * 2]], averaged)
norm = averaged.module[1]
found += list(averaged.state_dict()), norm.momentum, averaged.training
r = found, norm.running_mean
""")
