"""Who takes part: one entry of `PEERS` for each way to differentiate a workload.

A peer turns a workload and its arguments into a function without arguments that
computes the derived result once and waits until it is there. To add one, write such a
function and append it to `PEERS`; its library is imported on first use only.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

import fgrad
from benchmarks.workload import Arguments, Workload

Call = Callable[[], Any]
BASE = "fgrad"  # ratios are quoted against this peer, unless another one is named
JIT, HAND = "fgrad.jit", "hand"  # the two that a workload's bar compares
XLA, JAX = "fgrad.jit(jax)", "jax.jit"  # the two that run on XLA


def nothing() -> None:
    """A peer needs nothing but its library."""


@dataclass(frozen=True)
class Peer:
    """A way to differentiate.

    Attributes:
        name: what ``--peers`` selects.
        library: the module that must be installed.
        prepare: ``prepare(workload, arguments)`` gives the call that is timed, or None
            where this peer has no version of the workload.
        lacks: what else it needs and this machine does not have, or None.
    """

    name: str
    library: str
    prepare: Callable[[Workload, Arguments], Call | None]
    lacks: Callable[[], str | None] = nothing

    @property
    def is_installed(self) -> bool:
        """Whether the library can be imported."""
        return find_spec(self.library) is not None

    @property
    def obstacle(self) -> str | None:
        """Why it cannot take part on this machine, or None where it can."""
        if not self.is_installed:
            return f"{self.library} is not installed"
        return self.lacks()


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


def _third(grad: Callable[..., Any]) -> Callable[..., Any]:
    return lambda f: grad(grad(grad(f)))


def _fgrad_derived(workload: Workload) -> Callable[..., Any]:
    derive = {
        "value_and_grad": fgrad.value_and_grad,
        "third": _third(fgrad.grad),
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
        "third": _third(autograd.grad),
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
        "third": _third(jax.grad),
        "hessian": jax.hessian,
        "hvp": hvp,
        "jacobian": jax.jacrev,
    }[workload.transform]

    return derive(workload.build(jax.numpy)), on_device(arguments)


def on_device(arguments: Arguments) -> Arguments:
    """The arguments with arrays of jax in place of NumPy's."""
    jax = import_module("jax")

    jax.config.update("jax_enable_x64", True)

    def put(leaf: Any) -> Any:
        return jax.device_put(leaf) if isinstance(leaf, np.ndarray) else leaf

    return tuple(map_leaves(put, value) for value in arguments)


def prepare_fgrad_xla(workload: Workload, arguments: Arguments) -> Call:
    """fgrad with everything inside one jit, on XLA with arrays of jax.

    A workload of Python numbers has results of NumPy, which are there on return.
    """
    jax = import_module("jax")

    arguments = on_device(arguments)
    compiled = fgrad.jit(_fgrad_derived(workload), backend="jax")
    if not any(isinstance(leaf, jax.Array) for leaf in leaves_of(list(arguments))):
        return lambda: compiled(*arguments)
    return lambda: jax.block_until_ready(compiled(*arguments))


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


def _torch_call(
    workload: Workload, arguments: Arguments, wrap: Callable[[Any], Any]
) -> Call | None:
    if workload.torch is None or workload.transform != "value_and_grad":
        return None
    torch = import_module("torch")

    def tensor(leaf: Any) -> Any:
        if isinstance(leaf, float):
            return torch.tensor(leaf, dtype=torch.float64)
        return torch.from_numpy(leaf)

    loss = wrap(workload.torch(torch))
    chosen, *others = (map_leaves(tensor, value) for value in arguments)
    inputs = leaves_of(chosen)
    for leaf in inputs:
        leaf.requires_grad_(True)

    def call() -> Any:
        value = loss(chosen, *others)
        return value.detach(), torch.autograd.grad(value, inputs)

    return call


def prepare_torch(workload: Workload, arguments: Arguments) -> Call | None:
    """PyTorch eager; the gradient only."""
    return _torch_call(workload, arguments, lambda loss: loss)


def prepare_torch_compile(workload: Workload, arguments: Arguments) -> Call | None:
    """PyTorch with the function inside torch.compile; the gradient only."""

    def compiled(loss: Any) -> Any:
        torch = import_module("torch")
        torch.compiler.reset()  # a function met in two shapes is compiled for any shape
        return torch.compile(loss, dynamic=False)

    return _torch_call(workload, arguments, compiled)


def lacks_compiler() -> str | None:
    """torch.compile writes C++."""
    names = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++"]
    if any(shutil.which(name) for name in names):
        return None
    return f"there is no C++ compiler: {' or '.join(names)}"


def prepare_hand(workload: Workload, arguments: Arguments) -> Call | None:
    """The gradient as a person would write it in NumPy."""
    hand = workload.hand
    return None if hand is None else lambda: hand(*arguments)


def prepare_hand_out(workload: Workload, arguments: Arguments) -> Call | None:
    """The gradient by hand with out= into buffers that are allocated once."""
    if workload.hand_out is None:
        return None
    hand = workload.hand_out(*arguments)
    return lambda: hand(*arguments)


def prepare_hand_math(workload: Workload, arguments: Arguments) -> Call | None:
    """The gradient by hand in Python's math module."""
    hand = workload.hand_math
    return None if hand is None else lambda: hand(*arguments)


PEERS = [
    Peer(BASE, "fgrad", prepare_fgrad),
    Peer(JIT, "fgrad", prepare_fgrad_jit),
    Peer("autograd", "autograd", prepare_autograd),
    Peer(XLA, "jax", prepare_fgrad_xla),
    Peer(JAX, "jax", prepare_jax_jit),
    Peer("jax", "jax", prepare_jax),
    Peer("torch", "torch", prepare_torch),
    Peer("torch.compile", "torch", prepare_torch_compile, lacks_compiler),
    Peer(HAND, "numpy", prepare_hand),
    Peer("hand-out", "numpy", prepare_hand_out),
    Peer("hand-math", "numpy", prepare_hand_math),
]
