"""Training steps of classifiers, with each of the common optimisers.

The inputs come in pairs with different labels, so that the loss stays away from zero
however long a step is repeated.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from benchmarks.script import Script, Step, fill, labels, normal


def build(torch: Any, sizes: Sequence[int], batch: int, optimizer: str) -> Step:
    layers: list[Any] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    parameters = list(model.parameters())
    fill(torch, parameters)
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    update = getattr(torch.optim, optimizer)(model.parameters(), lr=1e-3, **options)
    loss_of = torch.nn.CrossEntropyLoss()
    half = normal(torch, batch // 2, sizes[0])
    inputs, targets = torch.cat([half, half]), labels(torch, batch, sizes[-1])

    def step() -> Any:
        update.zero_grad()
        loss = loss_of(model(inputs), targets)
        loss.backward()
        update.step()
        return loss, parameters

    return step


SMALL, LARGE = (4, 16, 16, 3), (784, 256, 128, 10)


def script(
    name: str, sizes: Sequence[int], batch: int, optimizer: str, bar: float
) -> Script:
    """The training step of a network of linear layers and ReLUs."""
    layers = "-".join(map(str, sizes))
    return Script(
        name=name,
        description=f"training step of an MLP {layers}, batch {batch}, {optimizer}",
        build=partial(build, sizes=sizes, batch=batch, optimizer=optimizer),
        bar=bar,
    )


SCRIPTS = [
    script("mlp-small-adam", SMALL, 8, "Adam", 0.2),
    script("mlp-sgd", LARGE, 32, "SGD", 0.8),
    script("mlp-adam", LARGE, 32, "Adam", 0.75),
]
