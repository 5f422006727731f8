"""``custom_jvp`` and ``custom_vjp``: functions with derivatives that the user gives."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from fgrad import tree
from fgrad.control.calls import Leaves, transposed
from fgrad.control.closing import as_value
from fgrad.control.rules import Avals, Rule, custom_jvp_, custom_vjp_
from fgrad.errors import CustomRuleError
from fgrad.trace import as_operand, is_traced, type_of
from fgrad.transforms.tape import zeros

Function = Callable[..., Any]


class custom_jvp:
    """A function whose tangents a rule of the user's gives.

    Args:
        fun: a function of arrays or nested containers of them, returning the same.
        nondiff_argnums: positions of arguments that are no arrays (functions, options).

    The rule, given to `defjvp`, takes the nondifferentiable arguments, the tuple of the
    others and the tuple of their tangents, and returns the result and its tangent, which
    is linear in the tangents. Reverse mode transposes it. The rule may itself be
    differentiated; Python may branch in it on values.

    Raises:
        CustomRuleError: there is no rule, the function closes over a traced value, or
            what the rule returns does not have the structure, shapes and dtypes of the
            function's result.

    >>> import numpy as np, fgrad
    >>> @fgrad.custom_jvp
    ... def log1pexp(x):
    ...     return np.logaddexp(0.0, x)
    >>> @log1pexp.defjvp
    ... def log1pexp_jvp(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), t / (1.0 + np.exp(-x))
    >>> fgrad.grad(log1pexp)(0.0)
    np.float64(0.5)
    """

    def __init__(self, fun: Function, nondiff_argnums: Sequence[int] = ()) -> None:
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = tuple(nondiff_argnums)
        self.jvp: Function | None = None
        self.rules: dict[Any, Rule] = {}

    def defjvp(self, jvp: Function) -> Function:
        """Set the rule ``jvp(*nondiff, primals, tangents) -> (result, tangent)``."""
        self.jvp = jvp
        return jvp

    def defjvps(self, *jvps: Function | None) -> None:
        """Set a rule for each argument, or None where the result does not vary.

        ``jvps[k](tangent, result, *args)`` is the tangent due to argument k.
        """
        if self.nondiff_argnums:
            raise CustomRuleError("defjvps does not go with nondiff_argnums; use defjvp")

        def jvp(primals: Any, tangents: Any) -> Any:
            out = self(*primals)
            terms = [
                rule(t, out, *primals)
                for rule, t in zip(jvps, tangents, strict=True)
                if rule is not None
            ]
            zero = tree.map_leaves(lambda leaf: leaf * 0.0, out)
            return out, functools.reduce(_add_trees, terms, zero)

        self.jvp = jvp

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.jvp is None:
            raise CustomRuleError(f"{self.__name__} has no rule: give it one by defjvp")
        return _call_custom(self, _JvpRule, custom_jvp_, args, kwargs)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else functools.partial(self, instance)


class custom_vjp:
    """A function whose cotangents a rule of the user's gives.

    Args:
        fun: a function of arrays or nested containers of them, returning the same.
        nondiff_argnums: positions of arguments that are no arrays (functions, options).

    The rule is a pair, given to `defvjp`: ``fwd(*args)`` returns the result and
    residuals, any tree of arrays; ``bwd(*nondiff, residuals, ct)`` returns a tuple with
    one cotangent for each differentiable argument. Forward mode transposes ``bwd``,
    which is linear in ``ct``. A second derivative differentiates ``fwd`` and ``bwd``.
    Python may branch in both on values.

    Raises:
        CustomRuleError: there is no rule, the function closes over a traced value, or
            what the rules return does not have the structure, shapes and dtypes of the
            function's result and arguments.

    >>> import numpy as np, fgrad
    >>> @fgrad.custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, ct: (np.clip(ct, -1, 1),))
    >>> fgrad.grad(lambda x: np.sum(clip_gradient(x) ** 2))(np.array([0.25, 4.0]))
    array([0.5, 1. ])
    """

    def __init__(self, fun: Function, nondiff_argnums: Sequence[int] = ()) -> None:
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = tuple(nondiff_argnums)
        self.fwd: Function | None = None
        self.bwd: Function | None = None
        self.rules: dict[Any, Rule] = {}

    def defvjp(self, fwd: Function, bwd: Function) -> None:
        """Set the forward and the backward rule."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None:
            raise CustomRuleError(f"{self.__name__} has no rule: give it one by defvjp")
        return _call_custom(self, _VjpRule, custom_vjp_, args, kwargs)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else functools.partial(self, instance)


def _add_trees(x: Any, y: Any) -> Any:
    leaves, treedef = tree.flatten(x)
    others = tree.flatten_like(treedef, y, "a tangent", "the result")
    return tree.unflatten(treedef, [a + b for a, b in zip(leaves, others, strict=True)])


def _call_custom(
    custom: Any, make: Any, prim: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if kwargs:
        bound = inspect.signature(custom.fun).bind(*args, **kwargs)
        bound.apply_defaults()
        args = bound.args
    count = len(args)
    positions = [k % count for k in custom.nondiff_argnums]
    static = [args[k] for k in positions]
    if any(map(is_traced, tree.flatten(static)[0])):
        raise CustomRuleError(
            f"a traced value is passed to {custom.__name__} as an argument of "
            "nondiff_argnums, which would lose its derivative"
        )
    smooth = tuple(x for k, x in enumerate(args) if k not in positions)
    leaves, treedef = tree.flatten(smooth)
    if not any(map(is_traced, leaves)):
        return custom.fun(*args)
    rule = _rule_of(custom, make, treedef, tuple(positions), static)
    outs = prim(*map(as_value, leaves), rule=rule)
    return tree.unflatten(rule.out_tree, outs)


RULES = 256  # for how many argument structures a function keeps its rule


def _rule_of(
    custom: Any,
    make: Any,
    treedef: tree.TreeDef,
    positions: tuple[int, ...],
    static: list[Any],
) -> Any:
    """The same rule for the same structure of arguments, so that programs are reused."""
    try:
        key = treedef, tuple((type(x), x) for x in static)
        known = custom.rules.get(key)
    except TypeError:  # an argument that cannot be hashed
        return make(custom, treedef, positions, static)
    if known is None:
        if len(custom.rules) >= RULES:
            custom.rules.clear()
        known = custom.rules[key] = make(custom, treedef, positions, static)
    return known


class _CustomRule(Rule):
    """What both kinds share: arguments from leaves, results to leaves."""

    def __init__(
        self,
        custom: Any,
        treedef: tree.TreeDef,
        positions: tuple[int, ...],
        static: list[Any],
    ) -> None:
        super().__init__(custom.__name__)
        self.custom = custom
        self.treedef = treedef
        self.positions = positions
        self.static = static
        self.out_tree: Any = None

    def args(self, leaves: Leaves) -> list[Any]:
        args = list(tree.unflatten(self.treedef, leaves))
        for position, value in sorted(zip(self.positions, self.static, strict=True)):
            args.insert(position, value)
        return args

    def results(self, out: Any) -> list[Any]:
        leaves, self.out_tree = tree.flatten(out)
        return [as_value(leaf) for leaf in leaves]

    def primal(self, operands: Leaves) -> list[Any]:
        return self.results(self.custom.fun(*self.args(operands)))


class _JvpRule(_CustomRule):
    def memos(self, operands: Leaves, outs: Leaves) -> Leaves:
        return operands

    def pushed(self, memos: Leaves, tangents: Leaves, avals: Avals) -> list[Any]:
        primals, moved = (tree.unflatten(self.treedef, x) for x in (memos, tangents))
        pair = self.custom.jvp(*self.static, primals, moved)
        what = f"the jvp rule of {self.name}"
        _, tangent = _pair(what, pair, "the result and its tangent")
        return fitted(what, tangent, self.out_tree, avals)

    def pulled(self, memos: Leaves, cts: Leaves, avals: Avals) -> list[Any]:
        types = tuple(map(type_of, cts))
        return transposed(lambda ts: self.pushed(memos, ts, types), avals, cts)


class _VjpRule(_CustomRule):
    reads_operands = False

    def forward(self, operands: Leaves) -> list[Any]:
        what = f"the forward rule of {self.name}"
        pair = self.custom.fwd(*self.args(operands))
        out, residuals = _pair(what, pair, "the result and residuals")
        leaves, self.residual_tree = tree.flatten(residuals)
        return [*self.results(out), *map(as_value, leaves)]

    def memos(self, operands: Leaves, outs: Leaves) -> Leaves:
        return outs[self.out_tree.num_leaves :]

    def pushed(self, memos: Leaves, tangents: Leaves, avals: Avals) -> list[Any]:
        types = tuple(map(type_of, tangents))
        return transposed(lambda cts: self.pulled(memos, cts, types), avals, tangents)

    def pulled(self, memos: Leaves, cts: Leaves, avals: Avals) -> list[Any]:
        residuals = tree.unflatten(self.residual_tree, memos)
        ct = tree.unflatten(self.out_tree, cts)
        found = self.custom.bwd(*self.static, residuals, ct)
        what = f"the backward rule of {self.name}"
        return cotangents_of_arguments(what, found, self.treedef, avals)


def cotangents_of_arguments(
    what: str, found: Any, treedef: tree.TreeDef, avals: Avals
) -> list[Any]:
    """The leaves of a tuple with one cotangent for each argument.

    Raises:
        CustomRuleError: it is no such tuple.
    """
    arguments = treedef.children()
    if not isinstance(found, tuple | list) or len(found) != len(arguments):
        raise CustomRuleError(
            f"{what} must return a tuple with one cotangent for each of "
            f"{len(arguments)} arguments, it returned {_described(found)}"
        )
    leaves: list[Any] = []
    for number, (ct, argument) in enumerate(zip(found, arguments, strict=True)):
        types = avals[len(leaves) : len(leaves) + argument.num_leaves]
        if ct is None and argument.num_leaves:
            if any(aval.is_inexact for aval in types):
                raise CustomRuleError(
                    f"{what} returned None as cotangent of argument {number}, which "
                    f"has type {', '.join(map(str, types))}; return zeros "
                    "(np.zeros_like) where the result does not depend on it"
                )
            leaves += [zeros(aval) for aval in types]
        else:
            leaves += fitted(f"{what}, argument {number},", ct, argument, types)
    return leaves


def _described(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"{len(value)}"
    return f"{type(value).__name__}"


def _pair(what: str, value: Any, meaning: str) -> Any:
    if not isinstance(value, tuple) or len(value) != 2:
        raise CustomRuleError(
            f"{what} must return a pair, {meaning}; it returned {_described(value)}"
        )
    return value


def fitted(what: str, value: Any, treedef: tree.TreeDef, avals: Avals) -> list[Any]:
    """Leaves of these types; zeros where a type is not floating-point.

    Raises:
        CustomRuleError: the structure, a shape or a dtype differs.
    """
    leaves, found = tree.flatten(value)
    if found != treedef:
        raise CustomRuleError(
            f"{what} returned the structure {found}, expected {treedef}"
        )
    fitted = []
    for leaf, aval in zip(leaves, avals, strict=True):
        own = type_of(as_operand(leaf))
        is_number = own.is_python and aval.shape == ()
        if not aval.is_inexact:
            fitted.append(zeros(aval))
        elif is_number and not (own.is_complex and not aval.is_complex):
            fitted.append(aval.numpy_dtype.type(leaf))
        elif own.shape == aval.shape and own.numpy_dtype == aval.numpy_dtype:
            fitted.append(leaf)
        else:
            raise CustomRuleError(
                f"{what} returned {own}, expected {aval}: a tangent or cotangent has "
                "the shape and dtype of its primal"
            )
    return fitted
