"""``external``: functions that fgrad never looks into, with their derivatives."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.control.calls import Leaves, at_level, transposed
from fgrad.control.closing import apart, as_value
from fgrad.control.custom_rules import cotangents_of_arguments, fitted
from fgrad.control.rule_primitives import external_
from fgrad.control.rules import (
    KEPT,
    Avals,
    Learnt,
    MappedLayout,
    MappedRule,
    Outline,
    Rule,
    element,
)
from fgrad.errors import CustomRuleError, DerivativeError
from fgrad.ir import Aval
from fgrad.primitive import Sample
from fgrad.trace import as_operand, is_traced, type_of
from fgrad.transforms.jvp import Flags

Function = Callable[..., Any]


def external(
    fn: Function,
    result: Any,
    *,
    vjp: Function | None = None,
    jvp: Function | None = None,
    vectorized: bool = False,
) -> Function:
    """A black box as one equation of traced programs.

    ``fn`` is called with NumPy arrays, which it must not change: a solver in Fortran or
    C, a SciPy routine, a table. It is never traced. Its derivative is the rule given,
    which is differentiable if it is written with functions that are.

    Args:
        fn: a function of NumPy arrays or nested containers of them.
        result: what ``fn`` returns: anything with a shape and a dtype (`Aval`, an
            array), a nested container of these, or a function that makes it from the
            types of the arguments.
        vjp: ``vjp(ct, out, *args)`` returns a tuple with one cotangent for each
            argument, where ``out`` is the result and ``ct`` its cotangent.
        jvp: ``jvp(tangents, out, *args)`` returns the tangent of the result, where
            ``tangents`` is a tuple. One of the two rules is enough: the other mode is
            its transpose.
        vectorized: under `vmap`, ``fn`` is called once, with the batch as first axis of
            all arguments, and returns results with that axis; otherwise once for each
            element.

    Returns:
        A function of the same arguments.

    Raises:
        CustomRuleError: ``fn`` or a rule returns another structure, shape or dtype than
            said.
        DerivativeError: it is differentiated and has no rule.

    >>> import numpy as np, fgrad
    >>> cosine = fgrad.external(np.cos, lambda x: x)
    >>> rule = lambda ct, y, x: (ct * cosine(x),)
    >>> sine = fgrad.external(np.sin, lambda x: x, vjp=rule)
    >>> fgrad.vmap(fgrad.grad(sine))(np.zeros(2))
    array([1., 1.])
    """
    rules: dict[Any, _ExternalRule] = {}

    @functools.wraps(fn)
    def call(*args: Any) -> Any:
        leaves, treedef = tree.flatten(args)
        rule = rules.get(treedef)
        if rule is None:
            if len(rules) >= KEPT:
                rules.clear()
            functions = fn, result, vjp, jvp, vectorized
            rule = rules[treedef] = _ExternalRule(treedef, *functions)
        values = list(map(as_value, leaves))
        said = rule.outline("primal", tuple(map(type_of, values)))
        is_plain = not any(map(is_traced, values))
        outs = apart(rule.primal(values)) if is_plain else external_(*values, rule=rule)
        return tree.unflatten(said.layout, outs)

    return call


class _ExternalRule(Rule):
    def __init__(
        self,
        treedef: tree.TreeDef,
        fn: Function,
        result: Any,
        vjp: Function | None,
        jvp: Function | None,
        vectorized: bool,
    ) -> None:
        super().__init__(getattr(fn, "__name__", type(fn).__name__))
        self.treedef = treedef
        self.fn, self.result = fn, result
        self.vjp, self.jvp = vjp, jvp
        self.vectorized = vectorized
        Learnt.add()

    def outline(self, method: str, avals: Avals) -> Outline:
        """The types of the results, as the user said; the layout is their structure."""

        def make() -> Outline:
            said = self.result
            if callable(said) and not hasattr(said, "shape"):
                said = said(*tree.unflatten(self.treedef, avals))
            leaves, treedef = tree.flatten(said)
            if not all(hasattr(x, "shape") and hasattr(x, "dtype") for x in leaves):
                raise CustomRuleError(
                    f"result= of the external function {self.name} must hold things "
                    f"with a shape and a dtype (fgrad.Aval, arrays), got {said!r:.80}"
                )
            return Outline(
                tuple(Aval(tuple(x.shape), np.dtype(x.dtype)) for x in leaves), treedef
            )

        return self.known(("outline", avals), make)  # type: ignore[no-any-return]

    def layout(self, avals: Avals) -> Any:
        return self.outline("primal", avals).layout

    def count(self, layout: Any) -> int:
        return layout.num_leaves  # type: ignore[no-any-return]

    def primal(self, operands: Leaves) -> list[Any]:
        said = self.outline("primal", tuple(map(type_of, operands)))
        return self.run(operands, *said)

    def run(self, operands: Leaves, avals: Avals, layout: Any) -> list[Any]:
        """Call the function; its results must have these types."""
        args = tree.unflatten(self.treedef, list(map(_read_only, operands)))
        (out,) = at_level(None, lambda args: [self.fn(*args)], args)
        leaves, found = tree.flatten(out)
        if found != layout:
            raise CustomRuleError(
                f"{self.name} returned the structure {found}, said was {layout} "
                "(result=)"
            )
        outs = []
        for leaf, aval in zip(leaves, avals, strict=True):
            value = as_operand(leaf)
            own = type_of(value)
            is_number = own.is_python and aval.shape == ()
            if is_number and not (own.is_complex and not aval.is_complex):
                value = aval.numpy_dtype.type(value)
            elif own.shape != aval.shape or own.numpy_dtype != aval.numpy_dtype:
                raise CustomRuleError(
                    f"{self.name} returned {own}, said was {aval} (result=)"
                )
            outs.append(value)
        return outs

    def memos(self, operands: Leaves, outs: Leaves, layout: Any) -> Leaves:
        return [*operands, *outs]

    def pushed(
        self, memos: Leaves, tangents: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        if self.jvp is None:
            self._require(self.vjp)
            types = tuple(map(type_of, tangents))
            pull = functools.partial(self._pull, memos, types, layout)
            return transposed(pull, avals, tangents)
        args, out = self._arguments(memos, layout)
        moved = tree.unflatten(self.treedef, tangents)
        tangent = self.jvp(moved, out, *args)
        return fitted(f"the jvp rule of {self.name}", tangent, layout, avals)

    def pulled(
        self, memos: Leaves, cts: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        if self.vjp is None:
            self._require(self.jvp)
            types = tuple(map(type_of, cts))
            push = functools.partial(self._push, memos, types, layout)
            return transposed(push, avals, cts)
        args, out = self._arguments(memos, layout)
        found = self.vjp(tree.unflatten(layout, cts), out, *args)
        what = f"the vjp rule of {self.name}"
        return cotangents_of_arguments(what, found, self.treedef, avals)

    def _push(
        self, memos: Leaves, types: Avals, layout: Any, tangents: Leaves
    ) -> Leaves:
        return self.pushed(memos, tangents, types, layout)

    def _pull(self, memos: Leaves, types: Avals, layout: Any, cts: Leaves) -> Leaves:
        return self.pulled(memos, cts, types, layout)

    def _arguments(self, memos: Leaves, layout: Any) -> tuple[Any, Any]:
        count = self.treedef.num_leaves
        args = tree.unflatten(self.treedef, memos[:count])
        return args, tree.unflatten(layout, memos[count:])

    def _require(self, rule: Function | None) -> None:
        if rule is None:
            raise DerivativeError(
                f"{self.name} is external and has no derivative: give vjp= or jvp= to "
                "fgrad.external, or cut the gradient (fgrad.stop_gradient)"
            )

    def make_mapped(self, size: int, flags: Flags) -> Rule:
        return _MappedExternal(self, size, flags)


class _MappedExternal(MappedRule):
    """An external function on a batch: in one call, or in one for each element."""

    def __init__(self, rule: Any, size: int, flags: Flags) -> None:
        super().__init__(rule, size, flags)
        self.is_vectorized = isinstance(rule, _ExternalRule) and rule.vectorized

    def outline(self, method: str, avals: Avals) -> Outline:
        own = self.rule.outline(method, tuple(map(element, avals, self.flags)))
        outs = tuple(Aval((self.size, *aval.shape), aval.dtype) for aval in own.avals)
        return Outline(outs, MappedLayout(own.layout, ()))

    def primal(self, operands: Leaves) -> list[Any]:
        avals, layout = self.outline("primal", tuple(map(type_of, operands)))
        pairs = list(zip(operands, self.flags, strict=True))
        if self.is_vectorized:
            whole = [x if m else self._spread_out(x) for x, m in pairs]
            return self.rule.run(whole, avals, layout.own)  # type: ignore[attr-defined,no-any-return]
        outs = [np.empty(aval.shape, aval.dtype) for aval in avals]
        for number in range(self.size):
            row = self.rule.primal([x[number] if m else x for x, m in pairs])
            for out, value in zip(outs, row, strict=True):
                out[number] = value
        return outs

    def _spread_out(self, x: Any) -> Any:
        return np.broadcast_to(x, (self.size, *np.shape(x)))

    def make_mapped(self, size: int, flags: Flags) -> Rule:
        return _MappedExternal(self, size, flags)


def _read_only(x: Any) -> Any:
    if type(x) is not np.ndarray:
        return x
    view = x.view()
    view.flags.writeable = False
    return view


# --- samples of the primitive


def _product(x: Any, y: Any) -> Any:
    return np.sin(x) * y


def _product_vjp(ct: Any, out: Any, x: Any, y: Any) -> Any:
    return np.cos(x) * y * ct, np.sin(x) * ct


_OPERANDS = np.array([0.1, 0.2, -0.3]), np.array([0.7, -0.8, 0.9])
_RULES = [
    _ExternalRule(
        tree.flatten(_OPERANDS)[1], _product, _OPERANDS[0], _product_vjp, None, flag
    )
    for flag in (False, True)
]


def _samples() -> list[Sample]:
    return [Sample(_OPERANDS, {"rule": rule}) for rule in _RULES]


external_.samples = _samples
