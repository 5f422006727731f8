"""Functions of fgrad inside jax, and functions of jax inside fgrad."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.caches import exact_key
from fgrad.control.calls import Leaves
from fgrad.control.closing import apart, as_value
from fgrad.control.rule_primitives import external_
from fgrad.control.rules import KEPT, Avals, Learnt, Outline, Rule
from fgrad.errors import BackendError
from fgrad.ir import Aval
from fgrad.lower.jax import import_jax
from fgrad.trace import is_traced, type_of
from fgrad.transforms.jvp import Flags
from fgrad.xla.arrays import is_jax_array, numpy_form
from fgrad.xla.lazy import run_lazily

Function = Callable[..., Any]


def to_jax(f: Function) -> Function:
    """A function written for NumPy as a function of jax arrays.

    It may be called inside ``jax.jit``, ``jax.vmap``, ``jax.grad`` and other transforms
    of jax, which see what it does as operations of jax. Where jax differentiates it,
    rules of ``custom_jvp``, ``custom_vjp`` and ``external`` hold; for the rest the
    derivative is jax's own. Called with values, Python may branch on them.

    Args:
        f: a function of arrays or nested containers of them.

    Returns:
        A function of the same arguments whose results are arrays of jax.

    Raises:
        BackendError: jax is missing or too old; when called, XLA cannot run ``f``.
        ConcretizationError: Python branches on a value while jax traces.

    >>> import jax, numpy as np, fgrad
    >>> f = fgrad.to_jax(lambda x: np.sum(np.sort(x)[:2] ** 2))
    >>> jax.grad(f)(jax.numpy.array([3.0, 1.0, 2.0], "float32"))
    Array([0., 2., 4.], dtype=float32)
    """
    jax = import_jax()

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = tree.flatten((args, kwargs))
        if any(map(is_traced, leaves)):
            return f(*args, **kwargs)
        with jax.enable_x64(True):
            arrays = [
                jax.numpy.asarray(x) if isinstance(x, np.ndarray | np.generic) else x
                for x in leaves
            ]
        new_args, new_kwargs = tree.unflatten(treedef, arrays)
        return run_lazily(f, *new_args, **new_kwargs)

    return call


def from_jax(f: Function) -> Function:
    """A function of jax as a function for fgrad: of NumPy's arrays, and traced values.

    On NumPy it calls ``f``, jitted, and gives NumPy's arrays; in a program that runs on
    XLA it is part of that. Its derivatives are those of ``jax.jvp`` and ``jax.vjp``, to
    any order, and `vmap` runs it under ``jax.vmap``. 64-bit types are enabled while jax
    traces it.

    Args:
        f: a pure function of arrays of jax, or nested containers of them. Arguments
            that are no arrays are passed as they are, and must be hashable.

    Returns:
        A function of the same arguments.

    Raises:
        BackendError: jax is missing or too old.
        TypeError: an argument is no array, and cannot be hashed.

    >>> import jax, numpy as np, fgrad
    >>> norm = fgrad.from_jax(jax.numpy.linalg.norm)
    >>> fgrad.grad(lambda x: norm(x * 2.0))(np.array([3.0, 4.0]))
    array([1.2, 1.6])
    """
    jax = import_jax()
    rules: dict[Any, JaxRule] = {}
    name = getattr(f, "__name__", type(f).__name__)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = tree.flatten((args, kwargs))
        if any(map(is_jax_array, leaves)) and not any(map(is_traced, leaves)):
            return f(*args, **kwargs)
        is_array = [is_traced(x) or hasattr(x, "dtype") for x in leaves]
        fixed = [None if flag else x for x, flag in zip(leaves, is_array, strict=True)]
        key = treedef, tuple(is_array), tuple(map(exact_key, fixed))
        if key not in rules:
            if len(rules) >= KEPT:
                rules.clear()
            rules[key] = JaxRule(jax, name, _on_leaves(f, treedef, is_array, fixed))
        rule = rules[key]
        pairs = zip(leaves, is_array, strict=True)
        values = [as_value(x) for x, flag in pairs if flag]
        said = rule.outline("primal", tuple(map(type_of, values)))
        is_plain = not any(map(is_traced, values))
        outs = apart(rule.primal(values)) if is_plain else external_(*values, rule=rule)
        return tree.unflatten(said.layout, outs)

    return call


def _on_leaves(
    f: Function, treedef: tree.TreeDef, is_array: Sequence[bool], fixed: Sequence[Any]
) -> Function:
    """The function of the leaves that are arrays."""

    def of_leaves(*arrays: Any) -> Any:
        given = iter(arrays)
        pairs = zip(fixed, is_array, strict=True)
        leaves = [next(given) if flag else x for x, flag in pairs]
        args, kwargs = tree.unflatten(treedef, leaves)
        return f(*args, **kwargs)

    return of_leaves


class JaxRule(Rule):
    """A function of jax, of leaves; its derivatives are functions of jax, too."""

    is_jax = True

    def __init__(self, jax: Any, name: str, f: Function) -> None:
        super().__init__(name)
        self._jax, self._f = jax, f
        self._compiled = jax.jit(self._leaves_of)
        Learnt.add()

    def _leaves_of(self, *operands: Any) -> list[Any]:
        return list(map(self._jax.numpy.asarray, tree.flatten(self._f(*operands))[0]))

    def outline(self, method: str, avals: Avals) -> Outline:
        """The types of the results, as jax finds them."""

        def make() -> Outline:
            jax, found = self._jax, []
            types = [jax.ShapeDtypeStruct(a.shape, a.numpy_dtype) for a in avals]

            def run(*operands: Any) -> Any:
                leaves, treedef = tree.flatten(self._f(*operands))
                found.append(treedef)
                return list(map(jax.numpy.asarray, leaves))

            with jax.enable_x64(True):
                outs = jax.eval_shape(run, *types)
            for out in outs:
                if getattr(out.dtype, "kind", "V") not in "biufc":
                    raise BackendError(
                        f"{self.name} of jax returns the dtype {out.dtype}, which "
                        "NumPy does not have: convert it there (astype)"
                    )
            return Outline(tuple(Aval(x.shape, x.dtype) for x in outs), found[-1])

        return self.known(("outline", avals), make)  # type: ignore[no-any-return]

    def layout(self, avals: Avals) -> Any:
        return self.outline("primal", avals).layout

    def count(self, layout: Any) -> int:
        return layout.num_leaves  # type: ignore[no-any-return]

    def primal(self, operands: Leaves) -> list[Any]:
        avals = self.outline("primal", tuple(map(type_of, operands))).avals
        with self._jax.enable_x64(True):
            outs = self._compiled(*operands)
        return [numpy_form(aval)(x) for x, aval in zip(outs, avals, strict=True)]

    def on_jax(self, operands: Leaves) -> Leaves:
        return self._leaves_of(*operands)

    def memos(self, operands: Leaves, outs: Leaves, layout: Any) -> Leaves:
        return operands

    def pushed(
        self, memos: Leaves, tangents: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        return self._derived("pushed", _pushed, memos, tangents)

    def pulled(
        self, memos: Leaves, cts: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        return self._derived("pulled", _pulled, memos, cts)

    def _derived(
        self, name: str, derive: Function, memos: Leaves, linear: Leaves
    ) -> list[Any]:
        count = len(memos)

        def make() -> Function:
            derived = derive(self._jax, self._leaves_of, count)
            derived.__name__ = f"{name}({self.name})"
            return from_jax(derived)

        function = self.known((name, count), make)
        return list(function(*memos, *linear))

    def make_mapped(self, size: int, flags: Flags) -> Rule:
        axes = tuple(0 if flag else None for flag in flags)
        name = f"vmap({self.name})"
        f = self._jax.vmap(self._leaves_of, axes, axis_size=size)
        return JaxRule(self._jax, name, f)


def _pushed(jax: Any, f: Function, count: int) -> Function:
    """Operands and tangents -> tangents of the results; zeros for integers."""

    def push(*leaves: Any) -> Any:
        primals = leaves[:count]
        pairs = zip(primals, leaves[count:], strict=True)
        tangents = [t if _varies(x) else _no_tangent(jax, x) for x, t in pairs]
        outs, moved = jax.jvp(f, primals, tuple(tangents))
        return [_filled(jax, t, x) for x, t in zip(outs, moved, strict=True)]

    return push


def _pulled(jax: Any, f: Function, count: int) -> Function:
    """Operands and cotangents -> cotangents of the operands; zeros for integers."""

    def pull(*leaves: Any) -> Any:
        primals = leaves[:count]
        outs, back = jax.vjp(f, *primals)
        pairs = zip(outs, leaves[count:], strict=True)
        cts = [ct if _varies(x) else _no_tangent(jax, x) for x, ct in pairs]
        return [_filled(jax, t, x) for x, t in zip(primals, back(cts), strict=True)]

    return pull


def _varies(x: Any) -> bool:
    return np.dtype(x.dtype).kind in "fc"


def _no_tangent(jax: Any, x: Any) -> Any:
    """What jax has in place of the tangent of an integer."""
    return np.zeros(x.shape, jax.dtypes.float0)


def _filled(jax: Any, t: Any, x: Any) -> Any:
    return t if _varies(x) else jax.numpy.zeros_like(x)
