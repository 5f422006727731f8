"""``custom_jvp`` and ``custom_vjp``: functions with derivatives that the user gives."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.caches import exact_key
from fgrad.control.custom_rules import JvpRule, VjpRule
from fgrad.control.rule_primitives import (
    custom_jvp_,
    custom_vjp_,
    custom_vjp_forward_,
)
from fgrad.control.rules import Rule
from fgrad.errors import CustomRuleError
from fgrad.primitive import Sample
from fgrad.trace import as_operand, is_traced, type_of

Function = Callable[..., Any]


class custom_jvp:
    """A function whose tangents a rule of the user's gives.

    Args:
        fun: a function of arrays or nested containers of them, returning the same.
        nondiff_argnums: positions of arguments that are no arrays (functions, options).

    The rule, given to `defjvp`, takes the nondifferentiable arguments, the tuple of the
    others and the tuple of their tangents, and returns the result and its tangent,
    which is linear in the tangents. Reverse mode transposes it. The rule may itself be
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
        self.__name__: str = getattr(fun, "__name__", type(fun).__name__)
        self.fun = fun
        self.nondiff_argnums = tuple(nondiff_argnums)
        self.jvp: Function | None = None
        self.rules: dict[Any, Rule] = {}
        self.signature: inspect.Signature | None = None

    def defjvp(self, jvp: Function) -> Function:
        """Set the rule ``jvp(*nondiff, primals, tangents) -> (result, tangent)``."""
        self.jvp = jvp
        return jvp

    def defjvps(self, *jvps: Function | None) -> None:
        """Set a rule for each argument, or None where the result does not vary.

        ``jvps[k](tangent, result, *args)`` is the tangent due to argument k.
        """
        if self.nondiff_argnums:
            raise CustomRuleError(
                "defjvps does not go with nondiff_argnums; use defjvp"
            )

        def jvp(primals: Any, tangents: Any) -> Any:
            if len(jvps) != len(primals):
                raise CustomRuleError(
                    f"defjvps gave {len(jvps)} rules to {self.__name__}, which was "
                    f"called with {len(primals)} arguments; give one for each, or None"
                )
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
        return _call_custom(self, JvpRule, custom_jvp_, args, kwargs)

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
        self.__name__: str = getattr(fun, "__name__", type(fun).__name__)
        self.fun = fun
        self.nondiff_argnums = tuple(nondiff_argnums)
        self.fwd: Function | None = None
        self.bwd: Function | None = None
        self.rules: dict[Any, Rule] = {}
        self.signature: inspect.Signature | None = None

    def defvjp(self, fwd: Function, bwd: Function) -> None:
        """Set the forward and the backward rule."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None:
            raise CustomRuleError(f"{self.__name__} has no rule: give it one by defvjp")
        return _call_custom(self, VjpRule, custom_vjp_, args, kwargs)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else functools.partial(self, instance)


def _add_trees(x: Any, y: Any) -> Any:
    leaves, treedef = tree.flatten(x)
    others = tree.flatten_like(treedef, y, "a tangent", "the result")
    return tree.unflatten(treedef, [a + b for a, b in zip(leaves, others, strict=True)])


def _positional(custom: Any, args: tuple[Any, ...], kwargs: Any) -> tuple[Any, ...]:
    """The arguments by position, with defaults."""
    if not kwargs and not inspect.isfunction(custom.fun):
        return args
    if custom.signature is None:
        custom.signature = inspect.signature(custom.fun)
    bound = custom.signature.bind(*args, **kwargs)
    if bound.kwargs:
        raise CustomRuleError(
            f"{custom.__name__} takes {', '.join(bound.kwargs)} by keyword only; a "
            "function with a rule takes arguments that can be given by position"
        )
    bound.apply_defaults()
    positional: tuple[Any, ...] = bound.args
    return positional


def _call_custom(
    custom: Any, make: Any, prim: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    args = _positional(custom, args, kwargs)
    count = len(args)
    if any(not -count <= k < count for k in custom.nondiff_argnums):
        raise CustomRuleError(
            f"nondiff_argnums={custom.nondiff_argnums} of {custom.__name__}, which was "
            f"called with {count} arguments"
        )
    positions = [k % count for k in custom.nondiff_argnums]
    static = [args[k] for k in positions]
    if any(map(is_traced, tree.flatten(static)[0])):
        raise CustomRuleError(
            f"a traced value is passed to {custom.__name__} as an argument of "
            "nondiff_argnums, which would lose its derivative; pass it as another "
            "argument"
        )
    smooth = tuple(x for k, x in enumerate(args) if k not in positions)
    leaves, treedef = tree.flatten(smooth)
    if not any(map(is_traced, leaves)):
        return custom.fun(*args)
    operands = [_operand(custom, leaf) for leaf in leaves]
    rule = _rule_of(custom, make, treedef, tuple(positions), static)
    rule.forget()
    outs = prim(*operands, rule=rule)
    layout = rule.layout(tuple(map(type_of, operands)))
    return tree.unflatten(layout.result, outs)


def _operand(custom: Any, leaf: Any) -> Any:
    """A leaf of the arguments; Python numbers stay what they are."""
    try:
        operand = as_operand(leaf)
        if type_of(operand).numpy_dtype.kind in "biufc":
            return operand
    except (TypeError, ValueError):
        pass
    raise CustomRuleError(
        f"{custom.__name__} was called with {type(leaf).__name__} {leaf!r:.40}, which "
        "is no array of numbers; name the position of that argument in nondiff_argnums"
    )


RULES = 256  # for how many argument structures a function keeps its rule


def _rule_of(
    custom: Any,
    make: Any,
    treedef: tree.TreeDef,
    positions: tuple[int, ...],
    static: list[Any],
) -> Any:
    """The same rule for the same structure of arguments: programs are reused."""
    try:
        key = treedef, tuple(map(exact_key, static))
        known = custom.rules.get(key)
    except TypeError:  # an argument that cannot be hashed
        return make(custom, treedef, positions, static)
    if known is None:
        if len(custom.rules) >= RULES:
            custom.rules.clear()
        known = custom.rules[key] = make(custom, treedef, positions, static)
    return known


# --- samples of the primitives


def _samples_of(custom: Any, make: Any) -> list[Sample]:
    operands = np.array([0.1, 0.2, -0.3]), np.float64(0.7)
    treedef = tree.flatten(operands)[1]
    return [Sample(operands, {"rule": _rule_of(custom, make, treedef, (), [])})]


def _custom_jvp_samples() -> list[Sample]:
    return _samples_of(_sine, JvpRule)


def _custom_vjp_samples() -> list[Sample]:
    return _samples_of(_cosine, VjpRule)


def _forward_samples() -> list[Sample]:
    (sample,) = _custom_vjp_samples()
    rule = sample.params["rule"]
    layout = rule.outline("forward", tuple(map(type_of, sample.operands))).layout
    return [Sample(sample.operands, {"rule": rule, "layout": layout})]


@custom_jvp
def _sine(x: Any, y: Any) -> Any:
    return np.sin(x) * y, np.sum(x)


@_sine.defjvp
def _sine_jvp(primals: Any, tangents: Any) -> Any:
    (x, y), (t_x, t_y) = primals, tangents
    return _sine(x, y), (np.cos(x) * t_x * y + np.sin(x) * t_y, np.sum(t_x))


@custom_vjp
def _cosine(x: Any, y: Any) -> Any:
    return {"out": np.cos(x) * y}


def _cosine_forward(x: Any, y: Any) -> Any:
    return {"out": np.cos(x) * y}, (x, y, 2)


def _cosine_backward(residuals: Any, ct: Any) -> Any:
    x, y, _ = residuals
    return -np.sin(x) * y * ct["out"], np.sum(np.cos(x) * ct["out"])


_cosine.defvjp(_cosine_forward, _cosine_backward)
custom_jvp_.samples = _custom_jvp_samples
custom_vjp_.samples = _custom_vjp_samples
custom_vjp_forward_.samples = _forward_samples
