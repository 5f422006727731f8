"""The first cell of PyTorch's tutorial on autograd."""

from typing import Any

from benchmarks.script import Script, Step


def build(torch: Any) -> Step:
    def step() -> Any:
        x = torch.ones(2, 2, requires_grad=True)
        y = x + 2
        z = y * y * 3
        out = z.mean()
        out.backward()
        return out, x

    return step


SCRIPTS = [
    Script(
        name="notebook",
        description="ones(2, 2) -> x + 2 -> y * y * 3 -> mean -> backward",
        build=build,
        bar=0.2,
    )
]
