"""Train a classifier on handwritten digits; model and loss are plain NumPy.

Run ``python examples/digits.py``. It prints the test accuracy and writes the course of
the loss to ``examples/output/digits.png``.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fgrad

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LAYERS = (64, 128, 64, 10)


def make_params(rng):
    """A nested dict of weights and biases, scaled for tanh layers."""
    sizes = pairwise(LAYERS)
    return {
        f"layer{number}": {
            "weights": rng.normal(0.0, np.sqrt(1.0 / inputs), (inputs, outputs)),
            "bias": np.zeros(outputs),
        }
        for number, (inputs, outputs) in enumerate(sizes)
    }


def predict(params, images):
    """Logits of shape (images, 10)."""
    *hidden, last = params.values()
    activations = images
    for layer in hidden:
        activations = np.tanh(activations @ layer["weights"] + layer["bias"])
    return activations @ last["weights"] + last["bias"]


def loss(params, images, labels):
    """Mean cross entropy of the softmax of the logits."""
    logits = predict(params, images)
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    log_likelihoods = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return -np.mean(log_likelihoods[np.arange(len(labels)), labels])


def accuracy(params, images, labels):
    """The share of images whose largest logit is at the label."""
    return np.mean(np.argmax(predict(params, images), axis=1) == labels)


def train(params, images, labels, rng, epochs, rate=0.1, momentum=0.9, batch=32):
    """Stochastic gradient descent with momentum; the mean loss of each epoch."""
    value_and_grad = fgrad.value_and_grad(loss)
    velocity = {
        name: {key: np.zeros_like(array) for key, array in layer.items()}
        for name, layer in params.items()
    }
    history = []
    for _ in track(range(epochs), description="training"):
        order = rng.permutation(len(labels))
        values = []
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            value, gradient = value_and_grad(params, images[chosen], labels[chosen])
            values.append(value)
            for name, layer in params.items():
                for key in layer:
                    velocity[name][key] *= momentum
                    velocity[name][key] -= rate * gradient[name][key]
                    layer[key] += velocity[name][key]
        history.append(np.mean(values))
    return history


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output")
    options = parser.parse_args()

    digits = load_digits()
    train_images, test_images, train_labels, test_labels = train_test_split(
        digits.data / 16.0, digits.target, test_size=0.25, random_state=0
    )
    rng = np.random.default_rng(0)
    params = make_params(rng)
    history = train(params, train_images, train_labels, rng, options.epochs)
    score = accuracy(params, test_images, test_labels)

    options.output.mkdir(parents=True, exist_ok=True)
    plot = options.output / "digits.png"
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.semilogy(np.arange(1, len(history) + 1), history)
    axes.set(
        xlabel="epoch", ylabel="mean cross entropy", title="load_digits, 64-128-64-10"
    )
    figure.savefig(plot, dpi=120, bbox_inches="tight")
    print(f"test accuracy: {score:.1%}")
    print(f"loss plot: {plot}")


if __name__ == "__main__":
    main()
