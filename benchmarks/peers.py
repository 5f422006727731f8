"""Who takes part: one entry of `PEERS` for each way to differentiate a workload.

A peer turns a workload and its arguments into a function without arguments that
computes the derived result once and waits until it is there. To add one, write such a
function and append it to `PEERS`; its library is imported on first use only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

import fgrad
from benchmarks.workload import Arguments, Workload

Call = Callable[[], Any]
BASE = "fgrad"  # ratios are quoted against this peer


@dataclass(frozen=True)
class Peer:
    """A way to differentiate.

    Attributes:
        name: what ``--peers`` selects.
        library: the module that must be installed.
        prepare: ``prepare(workload, arguments)`` gives the call that is timed, or None
            where this peer has no version of the workload.
    """

    name: str
    library: str
    prepare: Callable[[Workload, Arguments], Call | None]

    @property
    def is_installed(self) -> bool:
        """Whether the library can be imported."""
        return find_spec(self.library) is not None


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same nested dicts, lists and tuples with ``function`` applied to leaves."""
    if isinstance(tree, dict):
        return {key: map_leaves(function, value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map_leaves(function, value) for value in tree)
    return function(tree)


def leaves_of(tree: Any) -> list[Any]:
    """The leaves of nested dicts (by sorted key), lists and tuples."""
    if isinstance(tree, dict):
        tree = [tree[key] for key in sorted(tree)]
    if isinstance(tree, list | tuple):
        return [leaf for value in tree for leaf in leaves_of(value)]
    return [tree]


def _fgrad_derived(workload: Workload) -> Callable[..., Any]:
    derive = {
        "value_and_grad": fgrad.value_and_grad,
        "hessian": fgrad.hessian,
        "hvp": fgrad.hvp,
        "jacobian": fgrad.jacrev,
    }[workload.transform]
    return derive(workload.build(np))


def prepare_fgrad(workload: Workload, arguments: Arguments) -> Call:
    """fgrad as it is called first: no jit."""
    derived = _fgrad_derived(workload)
    return lambda: derived(*arguments)


def prepare_fgrad_jit(workload: Workload, arguments: Arguments) -> Call:
    """fgrad with everything inside one jit."""
    compiled = fgrad.jit(_fgrad_derived(workload))
    return lambda: compiled(*arguments)


def prepare_autograd(workload: Workload, arguments: Arguments) -> Call:
    """HIPS autograd."""
    autograd = import_module("autograd")

    derive = {
        "value_and_grad": autograd.value_and_grad,
        "hessian": autograd.hessian,
        "hvp": autograd.hessian_vector_product,
        "jacobian": autograd.jacobian,
    }[workload.transform]
    derived = derive(workload.build(import_module("autograd.numpy")))
    return lambda: derived(*arguments)


def _jax_derived(workload: Workload, arguments: Arguments) -> tuple[Any, Arguments]:
    """The derived function, and the arguments as jax arrays that are on the device."""
    jax = import_module("jax")

    jax.config.update("jax_enable_x64", True)

    def hvp(f: Any) -> Any:
        return lambda x, v: jax.jvp(jax.grad(f), (x,), (v,))[1]

    derive = {
        "value_and_grad": jax.value_and_grad,
        "hessian": jax.hessian,
        "hvp": hvp,
        "jacobian": jax.jacrev,
    }[workload.transform]

    def put(leaf: Any) -> Any:
        return jax.device_put(leaf) if isinstance(leaf, np.ndarray) else leaf

    derived = derive(workload.build(jax.numpy))
    return derived, tuple(map_leaves(put, value) for value in arguments)


def prepare_jax(workload: Workload, arguments: Arguments) -> Call:
    """jax without jit: each operation is dispatched on its own."""
    jax = import_module("jax")

    derived, arguments = _jax_derived(workload, arguments)
    return lambda: jax.block_until_ready(derived(*arguments))


def prepare_jax_jit(workload: Workload, arguments: Arguments) -> Call:
    """jax with everything inside one jit."""
    jax = import_module("jax")

    derived, arguments = _jax_derived(workload, arguments)
    compiled = jax.jit(derived)
    return lambda: jax.block_until_ready(compiled(*arguments))


def prepare_torch(workload: Workload, arguments: Arguments) -> Call | None:
    """PyTorch eager; the gradient only."""
    if workload.torch is None or workload.transform != "value_and_grad":
        return None
    torch = import_module("torch")

    def tensor(leaf: Any) -> Any:
        if isinstance(leaf, float):
            return torch.tensor(leaf, dtype=torch.float64)
        return torch.from_numpy(leaf)

    loss = workload.torch(torch)
    chosen, *others = (map_leaves(tensor, value) for value in arguments)
    inputs = leaves_of(chosen)
    for leaf in inputs:
        leaf.requires_grad_(True)

    def call() -> Any:
        value = loss(chosen, *others)
        return value.detach(), torch.autograd.grad(value, inputs)

    return call


def prepare_hand(workload: Workload, arguments: Arguments) -> Call | None:
    """The gradient as a person would write it in NumPy."""
    hand = workload.hand
    return None if hand is None else lambda: hand(*arguments)


PEERS = [
    Peer(BASE, "fgrad", prepare_fgrad),
    Peer("fgrad.jit", "fgrad", prepare_fgrad_jit),
    Peer("autograd", "autograd", prepare_autograd),
    Peer("jax.jit", "jax", prepare_jax_jit),
    Peer("jax", "jax", prepare_jax),
    Peer("torch", "torch", prepare_torch),
    Peer("hand", "numpy", prepare_hand),
]
