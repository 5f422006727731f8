"""PyTorch's define-by-run interface: ``import fgrad.torch as torch``.

Tensors are handles on the recorded program, and ``backward()`` is its vjp. There is
no engine, no derivative and no kernel here: an operation is a plain NumPy function;
it runs on NumPy arrays where no gradient is required, and on fgrad's tracers where
one is.

How a program is recorded, and why so
-------------------------------------
Each operation on tensors that require gradients is recorded by a trace of its own,
with the core's `TAPE` policy: a *fragment*, which is a path in the core's trie of
structures and the values that pullbacks need. A tensor holds its fragment
(``grad_fn``), and the fragment holds those of its operands. ``backward()`` puts the
fragments that the tensor depends on in order, joins them into one path, and has the
core derive and compile the pullback of it; the result is kept by structure.

The alternative was one trace for all operations of a thread, closed by
``backward()``. Its recording is cheaper, but it cannot keep PyTorch's promises: two
losses recorded one after the other are freed apart; what no tensor reaches is freed
at once, also while another tensor of the same time lives on (``pred`` in an
evaluation loop); tensors go from thread to thread. Replaying the operations under
`fgrad.vjp` has these properties, too, but runs the forward part twice.

What follows: a fragment is freed with the last tensor that depends on it; recording
has no state but the mode (`no_grad`), which belongs to the thread; ``autograd.grad``
asks the same program for other variables; ``create_graph`` records the pullback as
one fragment more, whose operands are the saved variables.

A tensor owns its storage: views, ``detach()`` and ``numpy()`` share its memory, and a
version counter lets `backward` refuse a saved value that was overwritten, as in
PyTorch.
"""

from __future__ import annotations

import difflib
from typing import Any

from fgrad.torch import autograd, indexing, inplace
from fgrad.torch.arithmetic import (
    add,
    div,
    floor_divide,
    mul,
    neg,
    pow,
    reciprocal,
    remainder,
    result_type,
    rsub,
    sub,
)
from fgrad.torch.autograd import (
    enable_grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from fgrad.torch.comparison import (
    allclose,
    eq,
    equal,
    ge,
    gt,
    le,
    logical_not,
    lt,
    ne,
)
from fgrad.torch.conversion import (
    clone,
    from_numpy,
    is_floating_point,
    is_tensor,
    numel,
)
from fgrad.torch.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from fgrad.torch.dtypes import (
    bool_,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from fgrad.torch.pointwise import (
    abs,
    clamp,
    cos,
    exp,
    isfinite,
    isinf,
    isnan,
    log,
    relu,
    sigmoid,
    sin,
    sqrt,
    square,
    tanh,
)
from fgrad.torch.printing import set_printoptions
from fgrad.torch.products import dot, matmul, mm
from fgrad.torch.random import (
    Generator,
    manual_seed,
    rand,
    rand_like,
    randn,
    randn_like,
)
from fgrad.torch.reductions import max, mean, min, sum
from fgrad.torch.registry import install_methods
from fgrad.torch.shapes import (
    flatten,
    permute,
    reshape,
    squeeze,
    t,
    transpose,
    unbind,
    unsqueeze,
)
from fgrad.torch.size import Size, device
from fgrad.torch.tensor import Tensor

install_methods()
subtract, multiply, divide, true_divide = sub, mul, div, div
absolute, negative, clip, swapaxes, ravel = abs, neg, clamp, transpose, flatten
bool = bool_
short, int, long = int16, int32, int64
half, float, double = float16, float32, float64

__all__ = [
    "Generator",
    "Size",
    "Tensor",
    "abs",
    "absolute",
    "add",
    "allclose",
    "arange",
    "as_tensor",
    "autograd",
    "bool",
    "clamp",
    "clip",
    "clone",
    "cos",
    "device",
    "div",
    "divide",
    "dot",
    "double",
    "dtype",
    "empty",
    "empty_like",
    "enable_grad",
    "eq",
    "equal",
    "exp",
    "eye",
    "flatten",
    "float",
    "float16",
    "float32",
    "float64",
    "floor_divide",
    "from_numpy",
    "full",
    "full_like",
    "ge",
    "get_default_dtype",
    "gt",
    "half",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_floating_point",
    "is_grad_enabled",
    "is_tensor",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "log",
    "logical_not",
    "long",
    "lt",
    "manual_seed",
    "matmul",
    "max",
    "mean",
    "min",
    "mm",
    "mul",
    "multiply",
    "ne",
    "neg",
    "negative",
    "no_grad",
    "numel",
    "ones",
    "ones_like",
    "permute",
    "pow",
    "promote_types",
    "rand",
    "rand_like",
    "randn",
    "randn_like",
    "ravel",
    "reciprocal",
    "relu",
    "remainder",
    "reshape",
    "result_type",
    "rsub",
    "set_default_dtype",
    "set_grad_enabled",
    "set_printoptions",
    "short",
    "sigmoid",
    "sin",
    "sqrt",
    "square",
    "squeeze",
    "sub",
    "subtract",
    "sum",
    "swapaxes",
    "t",
    "tanh",
    "tensor",
    "transpose",
    "true_divide",
    "uint8",
    "unbind",
    "unsqueeze",
    "zeros",
    "zeros_like",
]
_METHOD_MODULES = (indexing, inplace)  # imported for the methods they register


def __getattr__(name: str) -> Any:
    near = difflib.get_close_matches(name, __all__, n=3, cutoff=0.6)
    hint = f"; near: {', '.join(near)}" if near else ""
    raise AttributeError(f"module 'fgrad.torch' has no attribute '{name}'{hint}")
