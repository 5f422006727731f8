"""A convolutional network on images of 28 x 28 pixels, batch 64."""

from typing import Any

from benchmarks.script import Script, Step, fill, labels, normal

BATCH, CLASSES = 64, 10


def build(torch: Any) -> Step:
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, CLASSES),
    )
    parameters = list(model.parameters())
    fill(torch, parameters)
    update = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    half = normal(torch, BATCH // 2, 1, 28, 28)
    images, targets = torch.cat([half, half]), labels(torch, BATCH, CLASSES)

    def step() -> Any:
        update.zero_grad()
        loss = nn.functional.cross_entropy(model(images), targets)
        loss.backward()
        update.step()
        return loss, parameters

    return step


SCRIPTS = [
    Script(
        name="cnn",
        description=f"training step of a CNN, 28 x 28, batch {BATCH}, SGD",
        build=build,
        bar=1.5,
    )
]
