"""What a function on XLA is: its program, StableHLO, and a form to be saved."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.errors import BackendError
from fgrad.ir import Aval, Program
from fgrad.lower.jax import import_jax
from fgrad.statics import Arguments
from fgrad.xla.arrays import as_argument, aval_of_argument
from fgrad.xla.demand import Demand
from fgrad.xla.paths import XlaPath, is_native, trace_types


def is_type(x: Any) -> bool:
    """Whether this stands for an array by its shape and dtype alone."""
    is_array = isinstance(x, np.ndarray | np.generic)
    return (
        hasattr(x, "shape")
        and hasattr(x, "dtype")
        and not (is_array or hasattr(x, "__array__"))
    )


def trace_split(split: Arguments) -> tuple[Program, tree.TreeDef, list[Aval]]:
    """The program for arguments of which some may be types.

    Raises:
        ConcretizationError: Python asks for a value, and there is none.
    """
    values = [x if is_type(x) else as_argument(x) for x in split.leaves]
    avals = [
        Aval(tuple(x.shape), np.dtype(x.dtype)) if is_type(x) else aval_of_argument(x)
        for x in values
    ]
    demand = None if any(map(is_type, values)) else Demand(values)
    program, treedef = trace_types(split.call, avals, demand)
    return program, treedef, avals


class Lowered:
    """A function for arguments of these types, before XLA compiles it.

    Attributes:
        program: fgrad's own program; it shows as the text of this object.
    """

    def __init__(
        self, path: XlaPath, split: Arguments, avals: Sequence[Aval], name: str
    ) -> None:
        self.program = path.program
        self._path, self._split, self._avals, self._name = path, split, avals, name

    def __repr__(self) -> str:
        return repr(self.program)

    def _types(self) -> list[Any]:
        """The arguments as jax describes them, with the layout that they have.

        One on several devices counts; where one is said (``in_shardings``), that does.
        """
        jax = import_jax()
        layouts: list[Any] = [None for _ in self._avals]
        if self._path.in_shardings is None:
            found = [getattr(x, "sharding", None) for x in self._split.leaves]
            is_one = [x is None or len(x.device_set) == 1 for x in found]
            layouts = [
                None if flag else x for x, flag in zip(found, is_one, strict=True)
            ]
        return [
            jax.ShapeDtypeStruct(aval.shape, aval.numpy_dtype, sharding=layout)
            for aval, layout in zip(self._avals, layouts, strict=True)
        ]

    def stablehlo(self) -> str:
        """The text that XLA is given.

        >>> import numpy as np, fgrad
        >>> lowered = fgrad.jit(np.sin, backend="jax").lower(np.ones(3))
        >>> "stablehlo.sine" in lowered.stablehlo()
        True
        """
        with import_jax().enable_x64(True):
            lowered = self._path.run.lower(*self._path.constants, *self._types())
            return str(lowered.as_text())

    def export(self, **options: Any) -> Any:
        """A ``jax.export.Exported``: it can be serialised, and called without fgrad.

        It takes the arguments that are not static, and holds what the function closes
        over. ``options`` are those of ``jax.export.export`` (``platforms``). To
        serialise it jax needs flatbuffers (``pip install flatbuffers``).

        Raises:
            BackendError: the program holds for one outcome of a Python branch only.

        >>> import jax, jax.export, numpy as np, fgrad
        >>> x = jax.numpy.ones(3, "float32")
        >>> data = fgrad.jit(np.cumsum, backend="jax").lower(x).export().serialize()
        >>> jax.export.deserialize(data).call(x)
        Array([1., 2., 3.], dtype=float32)
        """
        if self._path.outcomes:
            raise BackendError(
                f"{self._name} branches in Python on values, and an exported program "
                "would hold for one outcome only: use np.where, fgrad.cond, "
                "fgrad.while_loop, or static arguments"
            )
        jax = import_jax()
        from jax import export  # noqa: PLC0415 (jax does not import it by itself)

        _, treedef = tree.flatten(self._split.given)
        args, named = tree.unflatten(treedef, self._types())
        if not is_native(treedef):
            raise BackendError(
                "an exported function takes tuples, lists and dicts only: jax does "
                "not know the containers of these arguments"
            )
        with jax.enable_x64(True):
            return export.export(jax.jit(self._whole()), **options)(*args, **named)

    def _whole(self) -> Callable[..., Any]:
        """The function of the user's arguments."""

        def whole(*args: Any, **named: Any) -> Any:
            leaves, _ = tree.flatten((list(args), named))
            return self._path.run(*self._path.constants, *leaves)

        whole.__name__ = self._name if self._name.isidentifier() else "function"
        return whole
