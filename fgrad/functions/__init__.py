"""What NumPy's functions, operators and methods do on traced values.

One file per family. A function that is a composition of primitives is written here
under ``@implements(np.the_function)``; importing this package teaches tracers all of
them, but for ``fourier``, which is imported when one of ``np.fft`` is called.
"""

from fgrad.functions import (
    applying,
    calculus,
    creation,
    diagonals,
    einsum,
    elementwise,
    indexing,
    joining,
    linalg,
    methods,
    nans,
    norms,
    products,
    protocol,
    queries,
    reduction,
    scan,
    shape,
    sorting,
)

__all__ = [
    "applying",
    "calculus",
    "creation",
    "diagonals",
    "einsum",
    "elementwise",
    "indexing",
    "joining",
    "linalg",
    "methods",
    "nans",
    "norms",
    "products",
    "protocol",
    "queries",
    "reduction",
    "scan",
    "shape",
    "sorting",
]

protocol.install_protocol()
methods.install_methods()
