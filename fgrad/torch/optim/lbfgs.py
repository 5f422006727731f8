"""L-BFGS: Newton-like steps from the history of gradients.

J. Nocedal and S. Wright, Numerical Optimization, 2006, algorithms 7.4, 3.5 and 3.6;
with PyTorch's choices of steps and stops, so that the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fgrad.torch.joining import cat
from fgrad.torch.modes import enable_grad, no_grad
from fgrad.torch.optim.line_search import strong_wolfe
from fgrad.torch.optim.optimizer import Optimizer


class LBFGS(Optimizer):
    """L-BFGS, with a line search if wanted; `step` needs a closure.

    Liu and Nocedal, On the limited memory BFGS method, 1989; the line search is that of
    Nocedal and Wright, Numerical optimization, 2006, algorithm 3.5.

    Args:
        params: parameters; groups are not possible.
        lr: the length of steps.
        max_iter: iterations in a step.
        max_eval: calls of the closure in a step; 1.25 times as many by default.
        tolerance_grad: stop below this largest element of the gradient.
        tolerance_change: stop below this change of parameters or loss.
        history_size: how many gradients are remembered.
        line_search_fn: ``"strong_wolfe"`` or None.

    Raises:
        ValueError: there are several groups.
        RuntimeError: there is no such line search.

    >>> x = torch.tensor([3.0, -1.0], requires_grad=True)
    >>> optimizer = torch.optim.LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (x - 2).square().sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure), x
    (tensor(10., grad_fn=<SumBackward0>), tensor([2., 2.], requires_grad=True))
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options")
        self._params = self.param_groups[0]["params"]

    def _gradient(self) -> Any:
        parts = [
            x.new_zeros(x.numel()) if x._grad is None else x._grad.reshape(-1)
            for x in self._params
        ]
        return cat(parts)

    def _move(self, step: float, direction: Any) -> None:
        start = 0
        for x in self._params:
            end = start + x.numel()
            x.add_(direction[start:end].view_as(x), alpha=step)
            start = end

    def _try(
        self, closure: Any, start: list[Any], step: float, direction: Any
    ) -> tuple[float, Any]:
        """The loss and the gradient at a point, without staying there."""
        self._move(step, direction)
        loss = float(_item(closure()))
        gradient = self._gradient()
        for x, before in zip(self._params, start, strict=True):
            x.copy_(before)
        return loss, gradient

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Some iterations.

        Args:
            closure: computes the loss and the gradients anew.

        Returns:
            What the closure returned first.

        Raises:
            TypeError: there is no closure.
        """
        if closure is None:
            raise TypeError(
                "LBFGS.step() missing 1 required positional argument: 'closure'"
            )
        with no_grad():
            return self._iterate(enable_grad()(closure))

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = closure()
        loss, evaluations = float(_item(first)), 1
        state["func_evals"] += 1
        gradient = self._gradient()
        if float(gradient.abs().max()) <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            self._choose_direction(state, gradient, group)
            state["prev_flat_grad"] = gradient.clone()
            state["prev_loss"] = loss
            direction = state["d"]
            if state["n_iter"] == 1:
                step = min(1.0, 1.0 / float(gradient.abs().sum())) * group["lr"]
            else:
                step = group["lr"]
            slope = float(gradient.dot(direction))
            if slope > -group["tolerance_change"]:
                break
            calls = 0
            if group["line_search_fn"]:
                start = [x.clone() for x in self._params]

                def attempt(t: float, start: Any = start, d: Any = direction) -> Any:
                    return self._try(closure, start, t, d)

                loss, gradient, step, calls = strong_wolfe(
                    attempt, step, direction, loss, gradient, slope
                )
                self._move(step, direction)
            else:
                self._move(step, direction)
                if iteration != group["max_iter"]:
                    loss = float(_item(closure()))
                    gradient = self._gradient()
                    calls = 1
            state["t"] = step
            evaluations += calls
            state["func_evals"] += calls
            if iteration == group["max_iter"] or evaluations >= group["max_eval"]:
                break
            if self._has_converged(state, gradient, loss, step, group):
                break
        return first

    @staticmethod
    def _has_converged(
        state: dict[str, Any],
        gradient: Any,
        loss: float,
        step: float,
        group: dict[str, Any],
    ) -> bool:
        small = group["tolerance_change"]
        return (  # type: ignore[no-any-return]
            float(gradient.abs().max()) <= group["tolerance_grad"]
            or float(state["d"].mul(step).abs().max()) <= small
            or abs(loss - state["prev_loss"]) < small
        )

    @staticmethod
    def _choose_direction(
        state: dict[str, Any], gradient: Any, group: dict[str, Any]
    ) -> None:
        """The direction: the gradient times the estimate of the inverse Hessian."""
        if state["n_iter"] == 1:
            state.update(d=gradient.neg(), old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return
        change = gradient.sub(state["prev_flat_grad"])
        moved = state["d"].mul(state["t"])
        curvature = float(change.dot(moved))
        changes, moves, weights = state["old_dirs"], state["old_stps"], state["ro"]
        if curvature > 1e-10:
            if len(changes) == group["history_size"]:
                for history in (changes, moves, weights):
                    history.pop(0)
            changes.append(change)
            moves.append(moved)
            weights.append(1.0 / curvature)
            state["H_diag"] = curvature / float(change.dot(change))
        direction = gradient.neg()
        shares = []
        history = list(zip(changes, moves, weights, strict=True))
        for old_change, old_move, weight in reversed(history):
            share = float(old_move.dot(direction)) * weight
            shares.append(share)
            direction.add_(old_change, alpha=-share)
        direction = direction.mul(state["H_diag"])
        for (old_change, old_move, weight), share in zip(
            history, reversed(shares), strict=True
        ):
            back = float(old_change.dot(direction)) * weight
            direction.add_(old_move, alpha=share - back)
        state["d"] = direction


def _item(loss: Any) -> Any:
    return loss if isinstance(loss, int | float) else loss.item()
