"""What rules of `custom_jvp` and `custom_vjp` take and return, as lists of leaves."""

from typing import Any, NamedTuple

from fgrad import tree
from fgrad.control.calls import Leaves, transposed
from fgrad.control.closing import as_value
from fgrad.control.rules import Avals, Learnt, Outline, Rule
from fgrad.errors import CustomRuleError, TreeError
from fgrad.ops.structure import astype
from fgrad.trace import Tracer, as_operand, is_traced, type_of
from fgrad.transforms.tape import zeros


class Layout(NamedTuple):
    """How leaves form the result and the residuals.

    ``numbers``: for each leaf of the residuals the type of Python number that it was.
    """

    result: tree.TreeDef
    residuals: tree.TreeDef | None = None
    numbers: tuple[type | None, ...] = ()


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
        Learnt.add()

    def args(self, leaves: Leaves) -> list[Any]:
        args = list(tree.unflatten(self.treedef, leaves))
        pairs = zip(self.positions, self.static, strict=True)
        for position, value in sorted(pairs, key=lambda pair: pair[0]):
            args.insert(position, value)
        return args

    def count(self, layout: Any) -> int:
        return layout.result.num_leaves  # type: ignore[no-any-return]

    def results(self, out: Any) -> tuple[list[Any], tree.TreeDef]:
        leaves, treedef = tree.flatten(out)
        return [self.value(leaf, "result") for leaf in leaves], treedef

    def value(self, leaf: Any, what: str) -> Any:
        try:
            value = leaf if type(leaf) is Tracer else as_value(leaf)
            if type_of(value).numpy_dtype.kind in "biufc":
                return value
        except (TypeError, ValueError):
            pass
        raise CustomRuleError(
            f"the {what} of {self.name} holds {type(leaf).__name__} {leaf!r:.40}, "
            "which is no array of numbers"
        )

    def primal(self, operands: Leaves) -> list[Any]:
        leaves, treedef = self.results(self.custom.fun(*self.args(operands)))
        self.remember(Layout(treedef))
        return leaves


class JvpRule(_CustomRule):
    def memos(self, operands: Leaves, outs: Leaves, layout: Any) -> Leaves:
        return operands

    def pushed(
        self, memos: Leaves, tangents: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        primals, moved = (tree.unflatten(self.treedef, x) for x in (memos, tangents))
        pair = self.custom.jvp(*self.static, primals, moved)
        what = f"the jvp rule of {self.name}"
        _, tangent = _pair(what, pair, "the result and its tangent")
        return fitted(what, tangent, layout.result, avals)

    def pulled(
        self, memos: Leaves, cts: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        types = tuple(map(type_of, cts))

        def push(tangents: Leaves) -> Leaves:
            return self.pushed(memos, tangents, types, layout)

        return transposed(push, avals, cts)


class VjpRule(_CustomRule):
    reads_operands = False

    def forward(self, operands: Leaves) -> list[Any]:
        what = f"the forward rule of {self.name}"
        pair = self.custom.fwd(*self.args(operands))
        out, residuals = _pair(what, pair, "the result and residuals")
        results, treedef = self.results(out)
        leaves, residual_tree = tree.flatten(residuals)
        values = [self.value(leaf, "residuals") for leaf in leaves]
        avals = [type_of(as_operand(leaf)) for leaf in leaves]
        numbers = tuple(aval.dtype if aval.is_python else None for aval in avals)
        self.remember(Layout(treedef, residual_tree, numbers))
        return [*results, *values]

    def outline(self, method: str, avals: Avals) -> Outline:
        found = super().outline(method, avals)
        if method == "forward":
            own = super().outline("primal", avals)
            count = own.layout.result.num_leaves
            if (own.layout.result, own.avals) != (
                found.layout.result,
                found.avals[:count],
            ):
                raise CustomRuleError(
                    f"the forward rule of {self.name} returns the result "
                    f"{_typed(found.layout.result, found.avals)}, the function itself "
                    f"{_typed(own.layout.result, own.avals)}"
                )
        return found

    def memos(self, operands: Leaves, outs: Leaves, layout: Any) -> Leaves:
        return outs[layout.result.num_leaves :]

    def pushed(
        self, memos: Leaves, tangents: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        types = tuple(map(type_of, tangents))

        def pull(cts: Leaves) -> Leaves:
            return self.pulled(memos, cts, types, layout)

        return transposed(pull, avals, tangents)

    def pulled(
        self, memos: Leaves, cts: Leaves, avals: Avals, layout: Any
    ) -> list[Any]:
        pairs = list(zip(memos, layout.numbers, strict=True))
        leaves = [x if kind is None or is_traced(x) else kind(x) for x, kind in pairs]
        residuals = tree.unflatten(layout.residuals, leaves)
        ct = tree.unflatten(layout.result, cts)
        found = self.custom.bwd(*self.static, residuals, ct)
        what = f"the backward rule of {self.name}"
        casts = any(kind and is_traced(x) for x, kind in pairs)
        return cotangents_of_arguments(what, found, self.treedef, avals, casts)


def _typed(treedef: tree.TreeDef, avals: Avals) -> Any:
    return tree.unflatten(treedef, avals[: treedef.num_leaves])


def cotangents_of_arguments(
    what: str, found: Any, treedef: tree.TreeDef, avals: Avals, casts: bool = False
) -> list[Any]:
    """The leaves of a tuple with one cotangent for each argument.

    ``casts``: a Python number came as an array, so that dtypes may be wider than said.

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
        name = f"{what}, argument {number},"
        filled = _with_zeros_for_none(name, ct, argument, types)
        leaves += fitted(name, filled, argument, types, casts)
    return leaves


def _with_zeros_for_none(
    what: str, ct: Any, argument: tree.TreeDef, types: Avals
) -> Any:
    """The cotangent with zeros where it has None for what is not floating-point.

    Raises:
        CustomRuleError: it has None for something floating-point.
    """
    given, found = tree.flatten(ct)
    if found == argument:
        return ct
    try:
        like = tree.unflatten(argument, range(argument.num_leaves))
        expanded = tree.prefix_leaves(ct, like, what)
    except TreeError:
        return ct
    if sum(leaf is not None for leaf in expanded) != len(given):
        return ct
    leaves = []
    for leaf, aval in zip(expanded, types, strict=True):
        if leaf is None and aval.is_inexact:
            raise CustomRuleError(
                f"{what} returned None as cotangent of what has type {aval}; return "
                "zeros (np.zeros_like) where the result does not depend on it"
            )
        leaves.append(zeros(aval) if leaf is None else leaf)
    return tree.unflatten(argument, leaves)


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


def fitted(
    what: str, value: Any, treedef: tree.TreeDef, avals: Avals, casts: bool = False
) -> list[Any]:
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
        is_number = type(leaf) in (bool, int, float, complex) and aval.shape == ()
        if not aval.is_inexact:
            fitted.append(zeros(aval))
        elif is_number and not (own.is_complex and not aval.is_complex):
            fitted.append(aval.numpy_dtype.type(leaf))
        elif (
            (aval.is_python or casts)
            and own.shape == aval.shape
            and own.is_complex <= aval.is_complex
        ):
            fitted.append(astype(as_operand(leaf), dtype=aval.numpy_dtype.name))
        elif own.shape == aval.shape and own.numpy_dtype == aval.numpy_dtype:
            fitted.append(leaf)
        else:
            raise CustomRuleError(
                f"{what} returned {own}, expected {aval}: a tangent or cotangent has "
                "the shape and dtype of its primal"
            )
    return fitted
