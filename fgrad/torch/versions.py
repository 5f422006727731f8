"""PyTorch's errors where memory that `backward` needs was changed or freed."""

from __future__ import annotations

from fgrad.ir import Aval
from fgrad.torch.dtypes import of_numpy
from fgrad.torch.storage import Storage
from fgrad.torch.views import bare_name
from fgrad.torch.watch import WATCH

CHANGED = (
    "one of the variables needed for gradient computation has been modified by an "
    "inplace operation: [{}]{} is at version {}; expected version {} instead. Hint: {}"
)
HINT = (
    "enable anomaly detection to find the operation that failed to compute its "
    "gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False)."
)
ANOMALY_HINT = (
    "the backtrace further above shows the operation that failed to compute its "
    "gradient. The variable in question was changed in there or anywhere later. Good "
    "luck!"
)
SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved "
    "tensors after they have already been freed). Saved intermediate values of the "
    "graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if "
    "you need to access saved tensors after calling backward."
)


def changed_text(storage: Storage, version: int, aval: Aval, origin: str) -> str:
    """PyTorch's sentence where memory was changed since it was saved.

    Args:
        storage: that of the memory.
        version: its version when it was saved.
        aval: the type of what was saved.
        origin: the bare name of the operation that gave the tensor; empty for a leaf.
    """
    given = f", which is output 0 of {origin}," if origin else ""
    what = f"torch.{of_numpy(aval.dtype).kind}Tensor {list(aval.shape)}"
    hint = ANOMALY_HINT if WATCH.anomaly else HINT
    return CHANGED.format(what, given, storage.version, version, hint)


def check_version(storage: Storage, version: int, aval: Aval, name: str) -> None:
    """Raise PyTorch's error where memory was changed since it was saved.

    The arguments are those of `changed_text`, with the name of the node.

    Raises:
        RuntimeError: an in-place operation changed it.
    """
    if storage.version != version:
        origin = bare_name(name) if name else ""
        raise RuntimeError(changed_text(storage, version, aval, origin))
