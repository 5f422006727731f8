"""A thousand operations on one number: the cost of an operation itself."""

from typing import Any

from benchmarks.script import Script, Step

ROUNDS = 200  # of five operations each


def build(torch: Any) -> Step:
    def step() -> Any:
        start = torch.tensor(0.7, requires_grad=True)
        x = start
        for _ in range(ROUNDS):
            x = x + 0.01 * (torch.sin(x) + torch.tanh(x))
        x.backward()
        return x, start

    return step


SCRIPTS = [
    Script(
        name="scalars",
        description="1000 sequential operations on one number, and backward",
        build=build,
        bar=0.25,
    )
]
