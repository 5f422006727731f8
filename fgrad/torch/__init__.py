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

Examples in docstrings call the package ``torch``, ``torch.nn`` ``nn``, and
``torch.nn.functional`` ``F``, as PyTorch's do.

A tensor owns its storage: views, ``detach()`` and ``numpy()`` share its memory, and a
version counter lets `backward` refuse a saved value that was overwritten, as in
PyTorch.
"""

from __future__ import annotations

import difflib
import importlib
import math
from typing import Any

from fgrad.torch import (
    arithmetic,
    attributes,
    autograd,
    axes,
    bessel_functions,
    comparison,
    complex_numbers,
    conjugates,
    contractions,
    conversion,
    copies,
    covariances,
    creation,
    cumulative,
    decompositions,
    drawing,
    each_element,
    elementary,
    environment,
    error_functions,
    extrema,
    factorizations,
    filling,
    gamma_functions,
    gamma_integrals,
    gathering,
    histograms,
    indefinite,
    index_reductions,
    indexing,
    inplace,
    joining,
    layouts,
    legacy,
    lengths,
    likes,
    limits,
    linalg,
    logical,
    masking,
    moving,
    new_tensors,
    numerical,
    older_linalg,
    pairs,
    parting,
    pointwise,
    products,
    random,
    ranges,
    rare_attributes,
    rearranging,
    reductions,
    reflections,
    resizing,
    return_types,
    rounding,
    searching,
    shapes,
    shrinking,
    singular,
    softmaxes,
    sorting,
    special,
    spectra,
    statistics,
    stored,
    strides,
    triangles,
    vector_products,
    writing,
)
from fgrad.torch.devices import device
from fgrad.torch.direct import add_direct_variants
from fgrad.torch.dtypes import (
    bfloat16,
    bool_,
    complex32,
    complex64,
    complex128,
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
from fgrad.torch.in_place_names import add_rare_in_place_variants
from fgrad.torch.inplace import add_in_place_variants
from fgrad.torch.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from fgrad.torch.placement import placed
from fgrad.torch.printing import set_printoptions
from fgrad.torch.refusals import refuse_complex_numbers
from fgrad.torch.registry import FUNCTIONS, install_methods
from fgrad.torch.size import Size
from fgrad.torch.strictness import StrictWarning, strict
from fgrad.torch.tensor import Tensor

_REGISTERING = (  # imported for the functions and methods that they register
    arithmetic,
    attributes,
    axes,
    bessel_functions,
    comparison,
    complex_numbers,
    conjugates,
    contractions,
    conversion,
    copies,
    covariances,
    creation,
    cumulative,
    decompositions,
    drawing,
    each_element,
    elementary,
    environment,
    error_functions,
    extrema,
    factorizations,
    filling,
    gamma_functions,
    gamma_integrals,
    gathering,
    histograms,
    indefinite,
    index_reductions,
    indexing,
    inplace,
    joining,
    layouts,
    legacy,
    lengths,
    likes,
    limits,
    logical,
    masking,
    moving,
    new_tensors,
    numerical,
    older_linalg,
    pairs,
    parting,
    pointwise,
    products,
    ranges,
    rare_attributes,
    rearranging,
    reductions,
    reflections,
    resizing,
    rounding,
    searching,
    shapes,
    shrinking,
    singular,
    softmaxes,
    sorting,
    spectra,
    statistics,
    stored,
    strides,
    triangles,
    vector_products,
    writing,
)
refuse_complex_numbers()
add_in_place_variants()
add_rare_in_place_variants()
add_direct_variants()
install_methods()
globals().update({name: placed(each) for name, each in FUNCTIONS.items()})
bool = bool_
short, int, long = int16, int32, int64
cfloat, cdouble, chalf = complex64, complex128, complex32
half, float, double = float16, float32, float64
inf, nan, pi, e = math.inf, math.nan, math.pi, math.e
newaxis = None
__version__ = environment.VERSION
_LAYERS = [  # functions of the module that are layers
    "batch_norm", "bilinear", "celu", "conv1d", "conv2d", "conv_transpose2d",
    "cosine_similarity", "dropout", "embedding", "group_norm", "layer_norm",
    "max_pool2d", "pairwise_distance", "rms_norm", "rrelu", "selu",
    "threshold", "adaptive_avg_pool1d", "alpha_dropout", "avg_pool1d",
    "channel_shuffle", "conv3d", "conv_transpose1d", "max_pool1d",
    "pdist", "pixel_unshuffle", "celu_", "conv_tbc", "conv_transpose3d", "max_pool3d",
    "rrelu_", "selu_", "threshold_",
]  # fmt: skip
_STEPS = ["gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"]
_LAZY = {  # where names are that are imported when they are first used
    "cuda": "",
    "distributions": "",
    "fft": "",
    "func": "",
    "load": "serialization",
    "nn": "",
    "optim": "",
    "save": "serialization",
    "testing": "",
    "utils": "",
    "vmap": "func",
    **dict.fromkeys(_LAYERS, "nn.functional"),
    **dict.fromkeys(_STEPS, "nn.cells"),
}

__all__ = [
    "Size",
    "StrictWarning",
    "Tensor",
    "autograd",
    "bfloat16",
    "bool",
    "cdouble",
    "cfloat",
    "chalf",
    "complex32",
    "complex64",
    "complex128",
    "device",
    "double",
    "dtype",
    "e",
    "enable_grad",
    "float",
    "float16",
    "float32",
    "float64",
    "get_default_dtype",
    "half",
    "inf",
    "inference_mode",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "linalg",
    "long",
    "nan",
    "no_grad",
    "pi",
    "promote_types",
    "random",
    "return_types",
    "set_default_dtype",
    "set_grad_enabled",
    "set_printoptions",
    "short",
    "special",
    "strict",
    "uint8",
]
__all__ += FUNCTIONS


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module = importlib.import_module(f"fgrad.torch.{_LAZY[name] or name}")
        return getattr(module, name) if _LAZY[name] else module
    near = difflib.get_close_matches(name, [*__all__, *_LAZY], n=3, cutoff=0.6)
    hint = f"; near: {', '.join(near)}" if near else ""
    raise AttributeError(f"module 'fgrad.torch' has no attribute '{name}'{hint}")


def __dir__() -> list[str]:
    return ["__version__", *__all__, *_LAZY]
