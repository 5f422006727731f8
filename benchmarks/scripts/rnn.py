"""A recurrent network written by hand: 50 steps, hidden 64, batch 16."""

from typing import Any

from benchmarks.script import Script, Step, normal

STEPS, BATCH, FEATURES, HIDDEN = 50, 16, 32, 64


def build(torch: Any) -> Step:
    xs = normal(torch, STEPS, BATCH, FEATURES, seed=1)
    w = normal(torch, FEATURES, HIDDEN, seed=2) / FEATURES**0.5
    u = normal(torch, HIDDEN, HIDDEN, seed=3) / HIDDEN**0.5
    b = torch.zeros(HIDDEN)
    parameters = [x.requires_grad_() for x in (w, u, b)]

    def step() -> Any:
        for parameter in parameters:
            parameter.grad = None
        h = torch.zeros(BATCH, HIDDEN)
        for x in xs:
            h = torch.tanh(x @ w + h @ u + b)
        loss = (h * h).mean()
        loss.backward()
        return loss, parameters

    return step


SCRIPTS = [
    Script(
        name="rnn",
        description=f"{STEPS} steps of tanh(x @ w + h @ u + b), and backward",
        build=build,
        bar=0.6,
    )
]
