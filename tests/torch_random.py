"""Random small scripts of views, writes, hooks and gradients, for two libraries.

A script is a list of lines, each with tensors by number. A line that raises is noted
with its error, and the script goes on, as an interactive session would.
"""

from __future__ import annotations

import random
import re
import warnings
from typing import Any

import numpy as np

OPERATIONS = [
    "{a} * {b}",
    "{a} + {b} * 2",
    "{a} - 0.5",
    "{a} * {k}",
    "{a}.sin()",
    "{a}.tanh()",
    "(-{a} * {a}).exp()",
    "{a} / ({b} * {b} + 1)",
    "{a} @ {b}.t() * 1",
    "torch.where({a} > {b}, {a}, {b})",
    "torch.cat([{a}, {b}])[1:3]",
    "torch.stack([{a}, {b}]).sum(0)",
    "{a}.sum(0, keepdim=True) + {b}",
    "{a}.max(0)[0]",
    "{a}.contiguous().clone()",
    "{a}.detach()",
    "{a}.detach().requires_grad_()",
    "{a}.relu()",
    "{a}.mean(1, keepdim=True) * {b}",
    "{a}[torch.tensor([1, 0])]",
    "{a}[{a} > 0.2].sum() * {b}",
    "torch.zeros(2, 3)",
    "{a}.cumsum(0)",
    "{a}.pow(2)",
    "{a}.data",
]
VIEWS = [
    "{a}[0]",
    "{a}[:, 1:]",
    "{a}[..., ::2]",
    "{a}.t()",
    "{a}.view(-1)",
    "{a}.reshape(3, 2)",
    "{a}.view(3, 2).t()",
    "{a}.contiguous().as_strided((2, 3), (3, 1), 0)",
    "{a}.contiguous().as_strided((3,), (2,), {a}.storage_offset())",
    "{a}.unfold(0, 2, 1)",
    "{a}.unfold(-1, 1, 2)",
    "{a}.expand(2, *{a}.shape)",
    "{a}.expand(2, *{a}.shape)[1]",
    "{a}[:1].expand(2, 3)",
    "{a}.chunk(2)[1]",
    "{a}.unbind()[0]",
    "{a}.split(1)[-1]",
    "{a}.tensor_split(2)[0]",
    "{a}.diagonal()",
    "{a}.squeeze()",
    "{a}.unsqueeze(0)",
    "{a}.movedim(0, -1)",
    "{a}.swapaxes(0, -1)",
    "{a}.narrow(0, 0, 1)",
    "{a}.select(0, 1)",
    "{a}.flatten()",
    "{a}.view_as({a})",
    "{a}.unflatten(0, (1, -1))",
    "{a}.contiguous()",
    "{a}[None]",
]
WRITES = [
    "{a}.mul_({k})",
    "{a}.add_({b})",
    "{a}.mul_({b})",
    "{a}[0] = {k}",
    "{a}[0] = {b}[0]",
    "{a}[..., 1] = {b}[..., 0]",
    "{a}[:] = {b}",
    "{a}[0] += {b}[0]",
    "{a}.copy_({b})",
    "{a}.zero_()",
    "{a}.fill_({k})",
    "{a}.sin_()",
    "{a}.clamp_(-1, 1)",
    "{a}[{a} > 0.3] = {k}",
    "{a}[{a} > 0.3] *= {k}",
    "{a}.masked_fill_({a} > 0.3, {k})",
    "{a}.index_put_((torch.tensor([0]),), {b}[:1])",
    "{a}.index_put_((torch.tensor([0, 0]),), {b}[:2], accumulate=True)",
    "{a}[torch.tensor([0])] = {b}[:1]",
    "{a}.index_add_(0, torch.tensor([1]), {b}[:1])",
    "{a}.data.mul_({k})",
    "{a}.data[0] = {k}",
    "{a}.detach().add_({k})",
    "{a}[0], {a}[1] = {a}[1].clone(), {a}[0].clone()",
    "{a}.t_()",
    "{a}.unsqueeze_(0)",
    "{a}.squeeze_()",
    "{a} += {b}",
    "{a} *= {k}",
    "{a} -= {b}.detach()",
    "{a}.lerp_({b}, 0.25)",
    "{a}.addcmul_({a}.detach(), {b}.detach())",
    "with torch.no_grad(): {a}.add_({k})",
    "with torch.no_grad(): {a}[0] = {b}[0]",
    "with torch.no_grad(): {a}.copy_({b})",
    "with torch.no_grad(): {a} -= 0.1 * {b}",
    "with torch.no_grad(): {new} = {a}[0]",
    "with torch.no_grad(): {new} = {a} * 2",
    "with torch.enable_grad(): {new} = {a} * 3",
]
# PyTorch crashes where a view gets a hook before its history is found anew
GRAPH = [
    "{a}.grad_fn; {a}.register_hook(lambda g: note('hook {a}', g))",
    "{a}.grad_fn; {a}.register_hook(lambda g: g * 0.5)",
    "{a}.grad_fn; handle = {a}.register_hook(lambda g: note('handle {a}', g))",
    "handle.remove()",
    "{a}.retain_grad()",
    "{a}.grad_fn.register_hook(lambda i, o: note('post {a}', o[0]))",
    "{a}.grad_fn.register_prehook(lambda o: note('pre {a}', o[0]))",
    "{a}.register_post_accumulate_grad_hook(lambda x: note('added {a}', x.grad))",
    "{a}.requires_grad_()",
    "{a}.requires_grad_(False)",
    "{a}.grad = None",
    "{a}.grad = torch.ones_like({a})",
    "{a}.grad.zero_()",
    "{a}.grad.mul_(2)",
    "{a}.grad += {b}.detach()",
    "{new} = {a}.grad",
    "{a}.sum().backward()",
    "{a}.sum().backward(retain_graph=True)",
    "({a} * {b}).sum().backward()",
    "({a} * {b}).sum().backward(retain_graph=True)",
    "{a}.backward(torch.ones_like({a}))",
    "{new} = torch.autograd.grad({a}.sum(), {b}, allow_unused=True)[0] * 1",
    "{new} = torch.autograd.grad({a}.sum(), {b}, create_graph=True)[0] * 1",
    "{new} = torch.autograd.grad(({a} * {a}).sum(), {b}, create_graph=True)[0] * 1",
    "{new} = torch.autograd.grad({a}.sum(), {b}, retain_graph=True)[0] * 1",
]
READS = [
    "note('value {a}', {a})",
    "note('sum {a}', {a}.sum())",
    "log.append(round({a}.sum().item(), 3) + 0.0)",
    "log.append((tuple({a}.shape), {a}.requires_grad, {a}._version))",
    "log.append({a}.is_leaf)",
    "log.append(None if {a}.grad_fn is None else {a}.grad_fn.name())",
    "note('numpy {a}', torch.from_numpy({a}.detach().numpy()))",
    "{a} = None",
]
KINDS = [OPERATIONS] * 6 + [VIEWS] * 6 + [WRITES] * 6 + [GRAPH] * 5 + [READS] * 2


def script(seed: int) -> list[str]:
    """The lines of a random script."""
    rng = random.Random(seed)
    names = ["x", "y", "t0", "t1"]
    lines = ["t0 = x * 1.5", "t1 = x * y"]
    for k in range(2, rng.randint(4, 16)):
        line = rng.choice(rng.choice(KINDS))
        new = f"t{k}"
        if line in OPERATIONS or line in VIEWS:
            line = f"{{new}} = {line}"
        if "{new}" in line:
            names.append(new)
        known = names[:-1] if names[-1] == new else names
        a, b = (known[max(rng.randrange(len(known)), rng.randrange(len(known)))], "")
        b = rng.choice(known)
        number = rng.choice([0.5, -1.25, 2])
        lines.append(line.format(a=a, b=b, k=number, new=new))
    if rng.random() < 0.5:
        a = names[-1]
        lines += [f"{a}.sum().backward()"]
    return lines


def shown(x: Any) -> Any:
    return None if x is None else (x.detach().numpy().round(3) + 0.0).tolist()


class Outcome:
    """What a script did.

    Attributes:
        log: what its lines noted, and the errors.
        found: for each tensor what it is in the end.
    """

    def __init__(self, torch: Any, lines: list[str]) -> None:
        self.log: list[Any] = []

        def note(what: str, x: Any) -> None:
            self.log.append((what, shown(x)))

        self.scope: dict[str, Any] = {"torch": torch, "note": note, "log": self.log}
        values = np.linspace(-1.0, 1.5, 6).reshape(2, 3)
        self.scope["x"] = torch.tensor(values, requires_grad=True)
        self.scope["y"] = torch.tensor(values[::-1].copy() + 0.5, requires_grad=True)
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for line in lines:
                    self._run(line)
                self.found = {
                    name: self._state(x)
                    for name, x in self.scope.items()
                    if name[0] in "xyt" and name != "torch"
                }
        finally:
            torch.set_default_dtype(default)

    def _run(self, line: str) -> None:
        try:
            exec(line, self.scope)
        except Exception as error:
            self.log.append((line, *kind(error)))

    def _state(self, t: Any) -> Any:
        if t is None:
            return None
        try:
            name = None if t.grad_fn is None else t.grad_fn.name()
        except RuntimeError as error:
            name = kind(error)
        flags = t._version, t.requires_grad, tuple(t.shape)
        gradient = shown(t.grad) if isinstance(name, str | None) else None
        return flags, name, shown(t), gradient


def kind(error: Exception) -> tuple[str, str]:
    """The type of an error and its first line, without numbers of outputs."""
    text = str(error).split("\n")[0]
    text = re.sub(r", which is output \d of [\w:]+,", "", text)
    return type(error).__name__, re.sub(r"Tensor \[[\d, ]*\]", "Tensor", text)


def difference(mine: Outcome, theirs: Outcome) -> str:
    """What two outcomes differ in; empty where they agree, or may differ.

    Which memory backward reads follows from the formulas of derivatives, and how far it
    comes before an error on its order: so errors of backward end the comparison, as do
    those of PyTorch for operands that share some memory.
    """
    ends = [k for k, each in enumerate(theirs.log) if _ends(each)]
    ends += [k for k, each in enumerate(mine.log) if _is_stricter(each)]
    for k in range(min([*ends, max(len(mine.log), len(theirs.log))])):
        ours, other = ([*x.log, *[None] * (k + 1)][k] for x in (mine, theirs))
        if not same(ours, other):
            return f"log {k}: {ours} {other}"
    if ends:
        return ""
    for name, state in theirs.found.items():
        if state is None:
            continue
        ours = mine.found[name]
        if not same(ours[:-1], state[:-1]) or not same_gradient(ours[-1], state[-1]):
            return f"{name}: {mine.found.get(name)} {state}"
    return ""


def _is_error(entry: Any) -> bool:
    return isinstance(entry, tuple) and str(entry[1:2]).endswith("Error',)")


def same_gradient(a: Any, b: Any) -> bool:
    """Whether gradients agree; zeros are as good as none."""
    if a is None or b is None:
        return not np.any(b if a is None else a)
    return same(a, b)


def _is_stricter(entry: Any) -> bool:
    """Gradients of gradients save all that the first ones read, so more is refused."""
    return _is_error(entry) and "modified by an inplace operation" in str(entry)


def _ends(entry: Any) -> bool:
    if not isinstance(entry, tuple) or len(entry) != 3:
        return False
    line, _, text = entry
    in_backward = isinstance(line, str) and ("backward" in line or ".grad(" in line)
    return in_backward or "some elements of the input" in str(text)


def same(a: Any, b: Any) -> bool:
    """Whether two records agree, numbers up to rounding; nodes of gradients do not."""
    if a == "VjpBackward0" and isinstance(b, str):
        return True
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, 2e-3, 2e-3, equal_nan=True))
    if _is_error(a) and _is_error(b):
        return True  # which of several mistakes is told is not compared
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)
