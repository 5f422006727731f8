"""Programs on jax: a loop over equations that calls the jax form of each primitive.

The function is made for `jax.jit` to trace. jax is imported on first use, here and
nowhere else: what the records of primitives say of jax is written against `Xla`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.errors import BackendError
from fgrad.ir import PYTHON_NUMBERS, Atom, Aval, Eqn, Lit, Program, aval_of
from fgrad.lower.jax_forms import form_of, is_known, loop_of, plain_form
from fgrad.lower.jax_host import call_host, show_on_host
from fgrad.lower.jax_passes import equations_for_xla
from fgrad.primitive import Primitive
from fgrad.record import trace_program
from fgrad.sites import Site

# The first version whose public API has `jax.enable_x64`, a setting of one thread.
MINIMUM = (0, 8)


@functools.cache
def import_jax() -> Any:
    """The module ``jax``, imported on first use.

    Raises:
        BackendError: it is not installed, or is older than `MINIMUM`.
    """
    try:
        import jax  # noqa: PLC0415 (an extra, and slow to import)
    except ImportError as error:
        raise BackendError(
            "the jax back end needs jax, which is not installed: pip install fgrad[jax]"
        ) from error
    found = tuple(map(int, jax.__version__.split(".")[:2]))
    if found < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise BackendError(
            f"the jax back end needs jax {wanted} or later, found {jax.__version__}: "
            "pip install --upgrade fgrad[jax]"
        )
    return jax


def jax_function(program: Program) -> Callable[..., list[Any]]:
    """The program as a function of jax arrays, to be traced by ``jax.jit``.

    It takes the constants and then the inputs, and returns the outputs and then, for
    each of the program's `guards`, the value that the guard tests. 64-bit types are
    enabled in this thread while jax traces the function, whatever jax is configured to
    do, and the compiled function keeps them. Its arguments must have them, too: see
    `jax_arguments`. Products of float32 have full precision on all devices, unless the
    user has set jax's ``default_matmul_precision``.

    Raises:
        BackendError: jax is missing or too old; when called, the program holds what
            XLA cannot do, or an argument does not have the type of the input.

    >>> import jax, numpy as np, fgrad
    >>> program = fgrad.make_program(lambda x: np.sum(np.cos(x)))(np.zeros(3))
    >>> run = jax.jit(jax_function(program))
    >>> run(*jax_arguments(program, [np.zeros(3)]))
    [Array(3., dtype=float64)]
    """
    jax = import_jax()
    types = [var.aval for var in (*program.consts, *program.ins)]
    for aval in types:
        if not is_known(aval):
            raise BackendError(
                f"XLA cannot run a program that takes {aval}: it does not have the "
                f"dtype {aval.numpy_dtype}; convert it (astype)"
            )

    def run(*arguments: Any) -> list[Any]:
        precision = jax.config.jax_default_matmul_precision or "highest"
        with jax.enable_x64(True), jax.default_matmul_precision(precision):
            observed: list[Any] = []
            pairs = zip(arguments, types, strict=True)
            values = [_checked(jax, x, aval) for x, aval in pairs]
            outs = _evaluate(jax, program, values, observed)
            avals = [atom.aval for atom in program.outs]
            pairs = zip(outs, avals, strict=True)
            return [*(_as_typed(jax, x, aval) for x, aval in pairs), *observed]

    return run


def jax_arguments(program: Program, values: Sequence[Any]) -> list[Any]:
    """The program's constants and these inputs as jax arrays of the program's types.

    jax rounds NumPy arrays and Python numbers to 32 bits where they enter, unless its
    configuration says otherwise. Arrays are copied: changing them later is no matter.

    >>> import numpy as np, fgrad
    >>> program = fgrad.make_program(lambda x: x * 2.0)(np.float64(0.1))
    >>> jax_arguments(program, [0.1])
    [Array(0.1, dtype=float64)]
    """
    jax = import_jax()
    variables = (*program.consts, *program.ins)
    pairs = zip((*program.values, *values), variables, strict=True)
    return [x if isinstance(x, jax.Array) else as_jax(x, v.aval) for x, v in pairs]


def as_jax(x: Any, aval: Aval) -> Any:
    """A copy of a value of NumPy or Python as an array of jax of this type.

    It is copied by NumPy: jax would compile a program for that.
    """
    jax = import_jax()
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        return jax.device_put(np.array(x, aval.numpy_dtype))


def guards(program: Program) -> list[Eqn]:
    """The guards whose values the function of `jax_function` returns, in order."""
    return [eqn for eqn in program.eqns if eqn.prim.name == "guard"]


def check_guards(program: Program, observed: Sequence[Any]) -> None:
    """Test what the function of `jax_function` returned behind the outputs.

    Raises:
        GuardFailed: the program was traced for another value; the first guard that
            fails counts, since what follows it was computed on a path not taken.
    """
    for eqn, value in zip(guards(program), observed, strict=True):
        eqn.prim.numpy(np.asarray(value)[()], **dict(eqn.params))


class Xla:
    """What the jax form of a primitive is given, beside its operands and params.

    Operands are jax arrays and Python numbers. Results may have another dtype than
    that of the equation: they are converted.

    Attributes:
        jax, np, lax: the modules ``jax``, ``jax.numpy`` and ``jax.lax``.
        ins, outs: the types of the operands and of the results.
        site: the user's line that the equation came from.
    """

    __slots__ = ("_observed", "ins", "jax", "lax", "np", "outs", "prim", "site")

    def __init__(
        self,
        jax: Any,
        prim: Primitive,
        ins: Sequence[Aval],
        outs: Sequence[Aval],
        site: Site | None = None,
        observed: list[Any] | None = None,
    ) -> None:
        self.jax, self.np, self.lax = jax, jax.numpy, jax.lax
        self.prim, self.ins, self.outs = prim, ins, outs
        self.site = site
        self._observed = observed

    def cast(self, x: Any, dtype: Any) -> Any:
        """An operand as an array of this dtype, by NumPy's rules for ``astype``."""
        if type(x) in PYTHON_NUMBERS:
            return np.asarray(x).astype(dtype)
        dtype = np.dtype(dtype)
        if x.dtype == dtype:
            return _strong(self.lax, x)
        if x.dtype.kind == "c" and dtype.kind not in "cb":
            x = self.lax.real(x)
        x = self.np.asarray(x)
        is_wrapped = dtype.kind == "u" or (dtype.kind == "i" and dtype.itemsize < 4)
        if not is_wrapped or x.dtype.kind != "f":
            return x.astype(dtype)
        wrapped = x.astype(np.int64).astype(dtype)  # as NumPy; XLA would saturate
        if dtype != np.uint64:
            return wrapped
        return self.np.where(x < 0, wrapped, x.astype(dtype))

    def cast_all(self, *operands: Any, dtype: Any = None) -> list[Any]:
        """The operands as arrays of one dtype, by default that of the result."""
        wanted = self.outs[0].numpy_dtype if dtype is None else dtype
        return [self.cast(x, wanted) for x in operands]

    def promoted(self, *operands: Any) -> list[Any]:
        """The operands as arrays of the dtype to which NumPy promotes them."""
        ones = [
            a.dtype(1) if a.is_python else np.ones((), a.dtype)[()] for a in self.ins
        ]
        return self.cast_all(*operands, dtype=np.result_type(*ones))

    def loop(self, ufunc: Any, types: Sequence[Any] | None = None) -> Any:
        """The dtypes to which NumPy converts the operands of a ufunc."""
        types = [aval.dtype for aval in self.ins] if types is None else types
        return loop_of(ufunc, tuple(types))[: len(types)]

    def aligned(self, *operands: Any) -> list[Any]:
        """Operands as lax's elementwise functions take them: of one shape, or numbers.

        A number is a NumPy array without axes, as `cast` makes it.
        """
        return [x if type(x) is np.ndarray else self.spread(x) for x in operands]

    def spread(self, x: Any) -> Any:
        """An operand broadcast to the shape of the result."""
        shape = self.outs[0].shape
        if x.shape == shape:
            return x
        kept = [k for k, n in enumerate(x.shape) if n != 1]
        lead = len(shape) - x.ndim
        thin = self.lax.reshape(x, tuple(x.shape[k] for k in kept))
        return self.lax.broadcast_in_dim(thin, shape, tuple(lead + k for k in kept))

    def run(self, program: Program, operands: Sequence[Any]) -> list[Any]:
        """Evaluate a program, such as a body among the params."""
        values = [self.np.asarray(value) for value in program.values]
        variables = (*program.consts, *program.ins)
        pairs = zip([*values, *operands], variables, strict=True)
        typed = [_as_typed(self.jax, x, var.aval) for x, var in pairs]
        outs = _evaluate(self.jax, program, typed)
        return [
            _as_typed(self.jax, x, atom.aval)
            for x, atom in zip(outs, program.outs, strict=True)
        ]

    def inline(
        self,
        function: Callable[..., Any],
        operands: Sequence[Any],
        ins: Sequence[Aval] | None = None,
    ) -> Any:
        """Evaluate what a function of leaves, which fgrad traces, does.

        Their types are those of the equation, unless they are given.
        """
        types = self.ins if ins is None else ins
        program = trace_program(lambda *leaves: function(leaves), types)
        return self.run(program, operands)

    def apply(self, name: str, *operands: Any, **params: Any) -> Any:
        """The result of another primitive."""
        prim = Primitive.registry[name]
        ins = [aval_of(x) if type(x) in PYTHON_NUMBERS else _aval(x) for x in operands]
        xla = Xla(self.jax, prim, ins, prim.infer(ins, params), self.site)
        outs = _apply(xla, operands, params)
        return outs if prim.multiple else outs[0]

    def call_host(self, function: Any, operands: Sequence[Any]) -> list[Any]:
        """The results of a pure function of NumPy values, called where it runs."""
        return call_host(self.jax, function, operands, self.outs)

    def show_on_host(self, function: Any, operands: Sequence[Any]) -> None:
        """Call a function of NumPy values where the program runs, in its order."""
        show_on_host(self.jax, function, operands)

    def observe(self, x: Any) -> None:
        """Return a value behind the outputs of the whole program."""
        if self._observed is None:
            raise self.unsupported("a guard in the body of a loop or a branch")
        self._observed.append(x)

    def unsupported(self, what: str) -> BackendError:
        """The error of an equation that XLA cannot do."""
        where = f" `{self.site.text}` ({self.site})" if self.site else ""
        return BackendError(f"XLA cannot run {self.prim.name}{where}: {what}")


def _checked(jax: Any, x: Any, aval: Aval) -> Any:
    """An argument, which must have its type: converting would hide what it lost."""
    found = aval_of(x) if type(x) in PYTHON_NUMBERS else _aval(x)
    if found.numpy_dtype != aval.numpy_dtype or found.shape != aval.shape:
        raise BackendError(
            f"the program takes {aval}, got {found} of jax, which makes 32-bit types "
            "of what is no jax array; convert with 64-bit types enabled "
            "(`with jax.enable_x64(True): jax.numpy.asarray(x)`)"
        )
    return _as_typed(jax, x, aval)


def _aval(x: Any) -> Aval:
    return Aval(x.shape, x.dtype)


def _strong(lax: Any, x: Any) -> Any:
    """Without jax's own promotion rules for what was a Python number."""
    if getattr(x, "weak_type", False):
        return lax.convert_element_type(x, np.dtype(x.dtype))
    return x


def _as_typed(jax: Any, x: Any, aval: Aval) -> Any:
    """A value with exactly the type that the program gives to it."""
    dtype = aval.numpy_dtype
    if type(x) in PYTHON_NUMBERS:
        return jax.numpy.asarray(x, dtype)
    x = jax.numpy.asarray(x)
    return (
        _strong(jax.lax, x)
        if x.dtype == dtype
        else jax.lax.convert_element_type(x, dtype)
    )


def _evaluate(
    jax: Any,
    program: Program,
    values: Sequence[Any],
    observed: list[Any] | None = None,
) -> list[Any]:
    env: dict[Atom, Any] = dict(
        zip((*program.consts, *program.ins), values, strict=True)
    )
    for eqn in equations_for_xla(program):
        operands = [a.value if type(a) is Lit else env[a] for a in eqn.ins]
        avals = tuple(var.aval for var in eqn.outs)
        kinds = tuple(type(a.value) if type(a) is Lit else a.aval for a in eqn.ins)
        plain = plain_form(jax, eqn.prim, kinds, avals)
        if plain is None:
            ins = tuple(atom.aval for atom in eqn.ins)
            xla = Xla(jax, eqn.prim, ins, avals, eqn.site, observed)
            outs = _apply(xla, operands, dict(eqn.params))
        else:
            outs = [plain(*operands)]
        env.update(zip(eqn.outs, outs, strict=True))
    return [a.value if type(a) is Lit else env[a] for a in program.outs]


def _apply(xla: Xla, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """The results of one equation, with the types that it gives to them."""
    for aval in xla.outs:
        if not is_known(aval):
            raise xla.unsupported(f"its result has the dtype {aval.numpy_dtype}")
    found = form_of(xla)(*operands, **params)
    outs = list(found) if xla.prim.multiple else [found]
    pairs = zip(outs, xla.outs, strict=True)
    outs = [_as_typed(xla.jax, out, aval) for out, aval in pairs]
    shapes = [(out.shape, aval.shape) for out, aval in zip(outs, xla.outs, strict=True)]
    assert all(own == said for own, said in shapes), (xla.prim.name, params, shapes)
    return outs
