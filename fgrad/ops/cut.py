"""Where gradients end."""

from typing import Any

import numpy as np

from fgrad import tree
from fgrad.ir import Aval
from fgrad.primitive import Primitive, Sample, keep_params
from fgrad.trace import is_traced

stop: Primitive = Primitive(
    "stop_gradient",
    lambda x: np.array(x)[()],
    lambda x: Aval(x.shape, x.numpy_dtype),
    is_constant=True,
    jax="lax.stop_gradient",
    batch_params=keep_params,
    samples=lambda: [Sample((np.linspace(0, 1, 3),))],
)


def stop_gradient(x: Any) -> Any:
    """The same values, as constants: no gradient flows through them.

    Args:
        x: an array, a number, or a nested container of them.

    Returns:
        The values of the same shapes and dtypes.

    >>> import fgrad
    >>> float(fgrad.grad(lambda x: x * fgrad.stop_gradient(x))(3.0))
    3.0
    """
    if type(x) is np.ndarray:
        return x
    return tree.map_leaves(lambda leaf: stop(leaf) if is_traced(leaf) else leaf, x)
