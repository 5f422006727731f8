"""A softmax over many classes, of which few are frequent; norms across channels."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch.creation import zeros
from fgrad.torch.joining import cat
from fgrad.torch.nn import functional as F
from fgrad.torch.nn.containers import ModuleList, Sequential
from fgrad.torch.nn.linear import Linear
from fgrad.torch.nn.module import Module
from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor, make

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])
_CUTOFFS = (
    "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
    "order, where each value is between 1 and n_classes-1"
)


class AdaptiveLogSoftmaxWithLoss(Module):
    """A softmax over clusters of classes, the rarer the smaller their projections.

    E. Grave et al., Efficient softmax approximation for GPUs, 2017.

    Args:
        in_features: the width of the input.
        n_classes: how many classes there are, the most frequent first.
        cutoffs: where clusters end: those up to the first are in the head.
        div_value: by what the width of a cluster is divided after the one before.
        head_bias: whether the head has a bias.

    Raises:
        ValueError: the cutoffs do not rise from 1 to ``n_classes - 1``.

    >>> layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0)
    >>> output, loss = layer(torch.ones(3, 8), torch.tensor([0, 5, 19]))
    >>> output.shape, layer.log_prob(torch.ones(3, 8)).shape
    (torch.Size([3]), torch.Size([3, 20]))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        ends = list(cutoffs)
        if not ends:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        are_sorted = ends == sorted(set(ends)) and all(int(c) == c for c in ends)
        if not are_sorted or min(ends) <= 0 or max(ends) > n_classes - 1:
            raise ValueError(_CUTOFFS)
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for k in range(self.n_clusters):
            width = int(in_features // div_value ** (k + 1))
            size = self.cutoffs[k + 1] - self.cutoffs[k]
            first = Linear(in_features, width, False, device, dtype)
            self.tail.append(Sequential(first, Linear(width, size, False)))

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input: Tensor, target: Tensor) -> Any:
        """The logarithms of the targets' probabilities, and their negative mean.

        Raises:
            RuntimeError: the shapes do not fit, or there is no such class.
        """
        x: Any = input
        is_single = target.ndim == 0
        self._check(x, target)
        classes: Any = target
        if is_single:
            x, classes = x.unsqueeze(0), target.unsqueeze(0)
        output = self._of_targets(x, classes)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if is_single else output, loss)

    def _of_targets(self, x: Any, target: Tensor) -> Any:
        """The logarithms at classes: those of a cluster, and those within it."""
        inside = [zeros(x.shape[0], self.shortlist_size, dtype=x.dtype)]
        inside += [F.log_softmax(cluster(x), 1) for cluster in self.tail]
        classes = target._array
        number = np.searchsorted(self.cutoffs, classes, "right") - 1
        place = np.where(number < 0, classes, self.shortlist_size + number)
        head: Any = F.log_softmax(self.head(x), 1)
        own: Any = cat(inside, 1)
        rows = [
            logs.gather(1, make(index[:, None])).squeeze(1)
            for logs, index in ((own, classes), (head, place))
        ]
        return rows[0] + rows[1]

    def _check(self, x: Tensor, target: Tensor) -> None:
        if target.ndim == 1 and x._aval.shape[0] != target._aval.shape[0]:
            raise RuntimeError(
                "Input and target should have the same size in the batch dimension."
            )
        if target.ndim == 1 and x.ndim != 2:
            raise RuntimeError(
                "1D target tensor expects 2D input tensors, but found inputs with size"
                f" {x.shape}"
            )
        if target.ndim == 0 and x.ndim != 1:
            raise RuntimeError(
                "0D target tensor expects 1D input tensors, but found inputs with size"
                f" {x.shape}"
            )
        if target.ndim > 1:
            raise RuntimeError(
                "0D or 1D target tensor expected, multi-target not supported"
            )
        seen = target._array
        if np.any((seen < 0) | (seen >= self.n_classes)):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in "
                f"range [{seen.min()}, {seen.max()}] were found. "
            )

    def _log_prob(self, x: Any) -> Any:
        head: Any = F.log_softmax(self.head(x), 1)
        parts = [head[:, : self.shortlist_size]]
        for k, cluster in enumerate(self.tail):
            own: Any = F.log_softmax(cluster(x), 1)
            parts.append(own + head[:, self.shortlist_size + k].unsqueeze(1))
        return cat(parts, 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """The logarithms of the probabilities of all classes, ``(N, n_classes)``."""
        return self._log_prob(input)  # type: ignore[no-any-return]

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row."""
        return make(np.argmax(self._log_prob(input)._array, 1))


class CrossMapLRN2d(Module):
    """Divides by a power of the sum of squares over neighbouring channels.

    >>> x = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)
    >>> nn.CrossMapLRN2d(3, alpha=3.0, beta=1.0)(x).flatten()
    tensor([0.1667, 0.3333])
    """

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        reach = (self.size - 1) // 2
        alpha, beta, k = self.alpha / self.size, self.beta, self.k

        def compute(u: Any) -> Any:
            widths = [(0, 0), (reach, reach), (0, 0), (0, 0)]
            squares, count = np.pad(u * u, widths), u.shape[1]
            sums = sum(squares[:, j : j + count] for j in range(2 * reach + 1))
            return u * (k + alpha * sums) ** -beta

        return one("CrossMapLRN2dBackward", compute, input)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
