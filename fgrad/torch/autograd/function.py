"""``torch.autograd.function``: operations whose derivatives the user writes.

A call of ``apply`` runs ``forward`` unrecorded, and leaves one node in the graph whose
gradients come from ``backward``. The node holds the context, never the results; so
nothing waits for the cycle collector.
"""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from fgrad.path import Path
from fgrad.sites import Site
from fgrad.torch.autograd.context import FunctionCtx
from fgrad.torch.autograd.saved import Saved
from fgrad.torch.autograd.wrapping import Results, as_alias, fitted
from fgrad.torch.graph import Edge, edge_of
from fgrad.torch.hooks import Gradient, Gradients, Hooks
from fgrad.torch.modes import STATE, in_mode
from fgrad.torch.noting import note
from fgrad.torch.placement import device_within, place
from fgrad.torch.segments import OpaqueNode
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.watch import WATCH
from fgrad.transforms.tape import zeros

__all__ = ["Function", "FunctionCtx", "once_differentiable"]

NO_FORWARD = "You must implement the forward function for custom autograd.Function."
NO_BACKWARD = (
    "You must implement either the backward or vjp method for your custom "
    "autograd.Function to use it with backward mode AD."
)
NO_JVP = (
    "You must implement the jvp function for custom autograd.Function to use it with "
    "forward mode AD."
)
BOTH = (
    "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You "
    "should only implement one of them."
)
INSTANCE = (
    "{} should not be instantiated. Methods on autograd functions are all static, so "
    "you should invoke them on the class itself. Instantiating an autograd function "
    "will raise an error in a future version of PyTorch."
)
LEGACY = (
    "Legacy autograd function with non-static forward method is deprecated. Please use "
    "new-style autograd function with static forward method. (Example: "
    "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
)
ONCE = (
    "trying to differentiate twice a function that was marked with @once_differentiable"
)
_NO_PATH = Path(None, None, (), (), (), ())


class FunctionNode(OpaqueNode):
    """A call of a `Function`: what ``grad_fn`` shows.

    Attributes:
        ctx: the context of the call, whose attributes the node shows, too.
        function: the class.
        operands: for each argument its type if it is a tensor, otherwise None.
        results: for each result its type if it is a tensor, otherwise None.
    """

    __slots__ = ("ctx", "function", "operands", "results")

    def __init__(
        self,
        function: type[Function],
        ctx: FunctionCtx,
        args: Sequence[Any],
        outs: tuple[int | None, ...],
        results: Sequence[Any],
    ) -> None:
        edges: list[Edge] = []
        layout: list[int | None] = []
        for x in args:
            if isinstance(x, Tensor):
                layout.append(len(edges) if x._requires else None)
                if x._requires:
                    edges.append(edge_of(x))
        self.ctx = ctx
        self.function = function
        self.operands = [x._aval if isinstance(x, Tensor) else None for x in args]
        self.results = [x._aval if isinstance(x, Tensor) else None for x in results]
        super().__init__(tuple(edges), tuple(layout), _NO_PATH, outs, None, (), False)
        self._hooks = Hooks()
        if WATCH.active:
            note(self)

    def __getattr__(self, name: str) -> Any:
        if name in FunctionNode.__slots__:
            raise AttributeError(name)
        return getattr(self.ctx, name)

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.name()} object at {hex(id(self))}>"

    def release(self, site: Site | None) -> None:
        """Free what was saved; reading it is refused from now on."""
        self.ctx._saved = None

    def pull(self, gradients: Gradients, recorded: bool) -> list[Gradient]:
        """The gradients of the operands, from the user's ``backward``.

        Raises:
            RuntimeError: it returned too many or too few, or not what fits.
        """
        given: list[Any] = list(gradients)
        if self.ctx.materialize_grads:
            for k, aval in enumerate(self.results):
                if given[k] is None and aval is not None:
                    given[k] = place(make(zeros(aval)), device_within(gradients))
        with in_mode(recorded):
            found = _backward_of(self.function)(self.ctx, *given)
            return self._checked(found if isinstance(found, tuple) else (found,))

    def _checked(self, found: tuple[Any, ...]) -> list[Gradient]:
        name, count = self.name(), len(self.operands)
        if len(found) < count or any(x is not None for x in found[count:]):
            raise RuntimeError(
                f"function {name} returned an incorrect number of gradients (expected "
                f"{count}, got {len(found)})"
            )
        passed: list[Gradient] = []
        for position, (aval, x) in enumerate(
            zip(self.operands, found[:count], strict=True)
        ):
            if aval is not None:
                number = self.layout[len(passed)]
                passed.append(fitted(name, x, position, aval, number is not None))
            elif x is not None:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at "
                    f"position {position + 1}, but the corresponding forward input was "
                    "not a Variable"
                )
        return passed


def _backward_of(function: type[Function]) -> Callable[..., Any]:
    """The ``backward`` of a function, which may be named ``vjp``."""
    if function.vjp is Function.vjp:
        return function.backward
    if function.backward is not Function.backward:
        raise RuntimeError(BOTH)
    return function.vjp


class Function(FunctionCtx):
    """An operation with a derivative of its own.

    A subclass defines ``forward(ctx, *args)`` and ``backward(ctx, *gradients)`` as
    static methods, or ``forward(*args)`` and ``setup_context(ctx, inputs, output)``.
    `forward` returns a tensor or a tuple; ``backward`` returns a gradient for each
    argument, None where there is none.

    >>> class Cube(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, gradient):
    ...         (x,) = ctx.saved_tensors
    ...         return gradient * 3 * x**2
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x)
    tensor(8., grad_fn=<CubeBackward>)
    >>> torch.autograd.grad(Cube.apply(x), x)
    (tensor(12.),)
    """

    __module__ = "torch.autograd.function"
    generate_vmap_rule = False
    _node_type: type[FunctionNode]
    _ctx_type: type[FunctionCtx]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = f"{cls.__name__}Backward"
        fields = {"__slots__": (), "__module__": "torch.autograd.function"}
        cls._node_type = type(name, (FunctionNode,), fields)
        cls._ctx_type = type(name, (FunctionCtx,), {"__module__": fields["__module__"]})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        text = INSTANCE.format(type(self))
        warnings.warn(text, DeprecationWarning, stacklevel=2)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: a function is called by ``apply`` of its class."""
        raise RuntimeError(LEGACY)

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """What the operation computes; a subclass defines it."""
        raise NotImplementedError(NO_FORWARD)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """What is kept for ``backward``, where ``forward`` takes no context."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments; a subclass defines it."""
        raise NotImplementedError(NO_BACKWARD)

    @staticmethod
    def vjp(ctx: Any, *grad_outputs: Any) -> Any:
        """Another name of ``backward``."""
        raise NotImplementedError(NO_BACKWARD)

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The tangents of the results, for those of the arguments."""
        raise NotImplementedError(NO_JVP)

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run the operation, and record it where a gradient is required.

        Raises:
            RuntimeError: operands were changed, or marked, in a way that cannot be
                recorded.
        """
        takes_context = cls.setup_context is Function.setup_context
        ctx = cls._ctx_type()
        if kwargs or not takes_context:
            args, kwargs = _bound(cls.forward, args, kwargs, takes_context)
        ctx.needs_input_grad = tuple(
            [isinstance(x, Tensor) and x._requires for x in args]
        )
        is_recorded = STATE.enabled and any(ctx.needs_input_grad)
        with in_mode(False):
            if takes_context:
                output = cls.forward(ctx, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
        given = output if isinstance(output, tuple) else (output,)
        results = Results(given, args, ctx)
        if is_recorded:
            node = cls._node_type(cls, ctx, args, results.numbers(), given)
            ctx._node = weakref.ref(node)
            shown = results.recorded(node)
            if STATE.level is not None:
                shown = cls._with_tangents(ctx, args, shown)
            ctx._saved = Saved.all_of(ctx.to_save, shown)
        else:
            shown = results.plain()
        ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ()
        return tuple(shown) if isinstance(output, tuple) else shown[0]

    @classmethod
    def _with_tangents(
        cls, ctx: FunctionCtx, args: tuple[Any, ...], results: list[Any]
    ) -> list[Any]:
        """The results as dual tensors, where an argument is one."""
        ctx._saved = Saved.all_of(ctx.saved_for_forward, results)

        def push(*tangents: Any) -> Any:
            with in_mode(False):
                return cls.jvp(ctx, *tangents)

        found: list[Any] = STATE.level.passed(push, args, results)
        return found


_signature = functools.lru_cache(1024)(inspect.signature)


def _bound(
    forward: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    takes_context: bool,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments in order, with defaults, and those that must be given by name."""
    skipped = int(takes_context)
    try:
        bound = _signature(forward).bind(*(None,) * skipped, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{forward.__name__}() {error}") from None
    if not takes_context:
        bound.apply_defaults()
        return bound.args, bound.kwargs
    # a default after the last argument that is given counts as no argument
    last = list(bound.arguments)[-1]
    bound.apply_defaults()
    names = list(bound.arguments)
    stop = len(bound.args) if last not in names else names.index(last) + 1
    return bound.args[skipped : max(stop, skipped + len(args))], bound.kwargs


class _DelayedError(OpaqueNode):
    """The end of what can be differentiated; shown as ``Error``."""

    __slots__ = ()

    def name(self) -> str:
        """PyTorch's name."""
        return "torch::autograd::Error"

    def release(self, site: Site | None) -> None:
        """Nothing is saved."""

    def pull(self, gradients: Gradients, recorded: bool) -> list[Gradient]:
        """Refused.

        Raises:
            RuntimeError: the function is marked as differentiable once.
        """
        raise RuntimeError(ONCE)


_Error = type("Error", (_DelayedError,), {"__slots__": (), "__module__": "builtins"})


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a ``backward`` that cannot be differentiated: it runs unrecorded.

    A gradient of the gradients that it returns raises an error.

    >>> class Double(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     @torch.autograd.function.once_differentiable
    ...     def backward(ctx, gradient):
    ...         return gradient * 2
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(Double.apply(x), x)
    (tensor(2.),)
    """

    @functools.wraps(fn)
    def backward(ctx: Any, *gradients: Any) -> Any:
        with in_mode(False):
            found = fn(ctx, *gradients)
        if not STATE.enabled:
            return found
        if not any(isinstance(x, Tensor) and x._requires for x in gradients):
            return found
        several = found if isinstance(found, tuple) else (found,)
        leaves = [
            place(make(x._array), x._device).requires_grad_()
            if isinstance(x, Tensor)
            else x
            for x in several
        ]
        refused = _refused(leaves)
        return refused if isinstance(found, tuple) else refused[0]

    return backward


def _refused(leaves: list[Any]) -> tuple[Any, ...]:
    """The same values, as results of a node that raises an error."""
    inputs = [x for x in leaves if isinstance(x, Tensor)]
    numbers = tuple(range(len(inputs)))
    node = _Error(
        tuple([edge_of(x) for x in inputs]), numbers, _NO_PATH, numbers, None, (), False
    )
    node._hooks = Hooks()
    count = iter(numbers)
    return tuple(
        [as_alias(x, node, next(count)) if isinstance(x, Tensor) else x for x in leaves]
    )
