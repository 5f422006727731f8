"""First-order primitives, one file per family.

To add an operation, add one record to a family's file: from it follow both modes of
differentiation, the interpreter and the source generator, printing, the rows of the
table test and the row of the operations page.
"""

from fgrad.ops import (
    contract,
    convolution,
    cut,
    decompositions,
    eigen,
    einsum,
    elementwise,
    fourier,
    index,
    linalg,
    logic,
    reduce,
    scan,
    sorting,
    strided,
    structure,
    transcendental,
)

__all__ = [
    "contract",
    "convolution",
    "cut",
    "decompositions",
    "eigen",
    "einsum",
    "elementwise",
    "fourier",
    "index",
    "linalg",
    "logic",
    "reduce",
    "scan",
    "sorting",
    "strided",
    "structure",
    "transcendental",
]
