"""What functions with several results return: tuples with names, that print so.

``torch.max(x, 0)`` prints as ``torch.return_types.max(values=..., indices=...)``, a
field in a line.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def _show(self: Any) -> str:
    fields = ",\n".join(
        f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)
    )
    return f"torch.return_types.{type(self).__name__}(\n{fields})"


def _type(name: str, fields: str) -> Any:
    base = namedtuple(name, fields)  # type: ignore[misc]
    return type(name, (base,), {"__repr__": _show, "__slots__": ()})


def of_outputs(results: Any, outputs: Any) -> Any:
    """The outputs that results were written to, as a tuple with the same names."""
    kind = type(results)
    if kind is tuple:
        return tuple(outputs)
    return _type(f"{kind.__name__}_out", " ".join(kind._fields))(*outputs)


max = _type("max", "values indices")
min = _type("min", "values indices")
sort = _type("sort", "values indices")
topk = _type("topk", "values indices")
kthvalue = _type("kthvalue", "values indices")
median = _type("median", "values indices")
nanmedian = _type("nanmedian", "values indices")
mode = _type("mode", "values indices")
cummax = _type("cummax", "values indices")
cummin = _type("cummin", "values indices")
frexp = _type("frexp", "mantissa exponent")
histogram = _type("histogram", "hist bin_edges")
aminmax = _type("aminmax", "min max")
slogdet = _type("slogdet", "sign logabsdet")
linalg_slogdet = _type("linalg_slogdet", "sign logabsdet")
linalg_eigh = _type("linalg_eigh", "eigenvalues eigenvectors")
linalg_eig = _type("linalg_eig", "eigenvalues eigenvectors")
triangular_solve = _type("triangular_solve", "solution cloned_coefficient")
linalg_svd = _type("linalg_svd", "U S Vh")
linalg_qr = _type("linalg_qr", "Q R")
linalg_lstsq = _type("linalg_lstsq", "solution residuals rank singular_values")
svd = _type("svd", "U S V")
qr = _type("qr", "Q R")
lu_unpack = _type("lu_unpack", "P L U")
geqrf = _type("geqrf", "a tau")
linalg_lu = _type("linalg_lu", "P L U")
linalg_lu_factor = _type("linalg_lu_factor", "LU pivots")
linalg_lu_factor_ex = _type("linalg_lu_factor_ex", "LU pivots info")
linalg_ldl_factor = _type("linalg_ldl_factor", "LD pivots")
linalg_ldl_factor_ex = _type("linalg_ldl_factor_ex", "LD pivots info")
linalg_inv_ex = _type("linalg_inv_ex", "inverse info")
linalg_cholesky_ex = _type("linalg_cholesky_ex", "L info")
linalg_solve_ex = _type("linalg_solve_ex", "result info")
