"""Every exception that fgrad raises of its own accord.

Each docstring is a page of the documentation: a program that fails, the reason, and
the program repaired. Message texts are formatted only when an error is raised.
"""

from fgrad.sites import at_user_line


class FgradError(Exception):
    """Base class of all errors that fgrad raises of its own accord."""

    def __init__(self, message: str) -> None:
        super().__init__(message + at_user_line())


class NonScalarOutputError(FgradError, TypeError):
    """``grad`` of a function whose result is not one number.

    Fails::

        fgrad.grad(lambda x: x ** 2)(np.ones(3))

    A gradient is defined for one number that depends on many. Reduce the result, or ask
    for the whole Jacobian::

        fgrad.grad(lambda x: np.sum(x ** 2))(np.ones(3))
        fgrad.jacobian(lambda x: x ** 2)(np.ones(3))
    """


class IntegerInputError(FgradError, TypeError):
    """Differentiation with respect to an integer or boolean argument.

    Fails::

        fgrad.grad(lambda n: n ** 2)(3)

    Integers have no infinitesimal neighbours, and NumPy would round the gradient to an
    integer. Pass a float, or choose another argument with ``argnums``::

        fgrad.grad(lambda n: n ** 2)(3.0)
    """


class ComplexGradientError(FgradError, TypeError):
    """``grad`` of a complex function without ``holomorphic=True``.

    Fails::

        fgrad.grad(lambda z: z * z)(1 + 2j)

    A function with a complex result has one complex derivative only where it is
    holomorphic; say so, or reduce the result to a real number::

        fgrad.grad(lambda z: z * z, holomorphic=True)(1 + 2j)
        fgrad.grad(lambda z: np.abs(z) ** 2)(1 + 2j)
    """


class LeakedTracerError(FgradError, RuntimeError):
    """A tracer was used after the transform that made it had returned.

    Fails::

        kept = []
        fgrad.grad(lambda x: (kept.append(x), np.sum(x))[1])(np.ones(3))
        kept[0] + 1

    What a traced function stores outside itself is unknown to the gradient. Return it,
    with ``has_aux=True`` for values that are not to be differentiated::

        fgrad.grad(lambda x: (np.sum(x), x), has_aux=True)(np.ones(3))
    """


class TracerConversionError(FgradError, TypeError):
    """A traced value was converted to a plain number or a raw NumPy array.

    Fails, as ``math.sin(t)``, ``float(t)`` and ``np.asarray(t)`` do::

        def f(t):
            out = np.zeros(3)
            out[0] = t
            return np.sum(out**2)

        fgrad.grad(f)(1.0)

    Each would lose the gradient. Make arrays that receive traced values with
    ``fgrad.numpy``, use NumPy's function in place of the one in ``math``, and cut the
    gradient by name where that is meant (``float(fgrad.stop_gradient(t))``)::

        def f(t):
            out = fgrad.numpy.zeros(3)
            out[0] = np.sin(t)
            return np.sum(out**2)

        fgrad.grad(f)(1.0)
    """


class ConcretizationError(FgradError, TypeError):
    """Python asked for the value of a traced value that has none, or has many.

    Fails::

        fgrad.make_program(lambda x: x if x > 0 else -x)(fgrad.Aval((), "float64"))

    Where only shapes and dtypes are known there is no value to branch on, and under
    ``vmap`` there is one for each element. Select with ``np.where``, branch with
    ``fgrad.cond``, loop with ``fgrad.while_loop``, or trace with a value::

        fgrad.make_program(lambda x: np.where(x > 0, x, -x))(fgrad.Aval((), "float64"))
    """


class UnsupportedFunctionError(FgradError, TypeError):
    """A NumPy function that has no rule was called on a traced value.

    Fails::

        fgrad.grad(lambda x: np.real(np.sort_complex(x)[0]))(np.ones(2))

    fgrad never guesses: a function without a rule raises by name. The message names
    functions that are near. Compose it from those, or cut the gradient::

        fgrad.grad(lambda x: np.sort(x)[0])(np.ones(2))
    """


class ShapeError(FgradError, ValueError):
    """Operands whose shapes do not fit together.

    Fails::

        fgrad.grad(lambda x: np.sum(x + np.ones(4)))(np.ones(3))

    The message gives NumPy's complaint, the shapes and the line. Repair the shapes::

        fgrad.grad(lambda x: np.sum(x + np.ones(3)))(np.ones(3))
    """


class MutatedConstantError(FgradError, RuntimeError):
    """A large array that the gradient needs was changed in place while it was traced.

    Fails::

        buffer = np.zeros(100_000)

        def f(x):
            total = np.sum(x * buffer)
            buffer[:] = 1.0  # the gradient would now see ones
            return total

        fgrad.grad(f)(2.0)

    Small arrays are copied when they enter the computation; large ones are not, so a
    change is refused. Copy the array where it is used::

        buffer = np.zeros(100_000)

        def f(x):
            total = np.sum(x * buffer.copy())
            buffer[:] = 1.0
            return total

        fgrad.grad(f)(2.0)
    """


class BackendError(FgradError, RuntimeError):
    """There is no such back end, or jax is missing, or XLA cannot run a program.

    Fails::

        def f(x):  # the number of steps depends on the values
            grow = lambda y: y * 1.5
            return fgrad.while_loop(lambda y: y < 100.0, grow, x)

        fgrad.jit(fgrad.grad(f), backend="jax")(2.0)

    XLA lays out all memory before a program runs. The reverse mode of a loop keeps
    values of each step, so it needs a bound on their number. For the same reason a
    shape cannot depend on values (``x[mask]``, ``np.nonzero``): use a mask
    (``np.where``) or a fixed size. Dtypes that XLA does not have (``longdouble``) have
    no place there, either. The message names the operation and the user's line. Give
    the bound, or use ``fori_loop`` or ``scan``::

        def f(x):
            grow = lambda y: y * 1.5
            return fgrad.while_loop(lambda y: y < 100.0, grow, x, max_steps=20)

        fgrad.jit(fgrad.grad(f), backend="jax")(2.0)
    """


class BatchLoopWarning(UserWarning):
    """``vmap`` runs an operation once for each element of the batch.

    Its primitive has no batch rule. The result is right; it is slow for large batches.
    The warning comes once for each primitive. Write the operation in terms of others,
    or turn the warning off::

        warnings.simplefilter("ignore", fgrad.errors.BatchLoopWarning)
    """


class DerivativeError(FgradError, TypeError):
    """A function on the path to the result has no derivative rule.

    Fails::

        bare = fgrad.primitive.Primitive("bare", np.exp, lambda x: x)
        fgrad.grad(bare)(1.0)

    The primitive's record has no derivative form. Write one, or cut the gradient where
    that is meant::

        fgrad.grad(lambda x: x + bare(fgrad.stop_gradient(x)))(1.0)
    """


class TreeError(FgradError, ValueError):
    """Two nested containers that must have the same structure do not.

    Fails::

        fgrad.jvp(lambda p: p["a"], ({"a": 1.0},), ({"b": 1.0},))

    A tangent has the structure of its primal::

        fgrad.jvp(lambda p: p["a"], ({"a": 1.0},), ({"a": 1.0},))
    """


class BatchAxisError(FgradError, ValueError):
    """``vmap`` over axes that do not exist or do not fit together.

    Fails::

        fgrad.vmap(np.add)(np.ones(3), np.ones(4))

    All mapped axes have one length, and each argument that is mapped has the axis. Give
    the axes, and None for what is the same for all elements::

        fgrad.vmap(np.add, in_axes=(0, None))(np.ones(3), np.ones(4))
    """


class CarryTypeError(FgradError, TypeError):
    """What a body returns does not have the types that it must have.

    Fails::

        fgrad.scan(lambda c, x: (c + x, None), np.zeros(2), np.ones((3, 4, 2)))

    A loop carries values of one structure, shape and dtype, and all branches of a
    ``cond`` return the same types. Start the carry as what the body returns::

        fgrad.scan(lambda c, x: (c + x, None), np.zeros((4, 2)), np.ones((3, 4, 2)))
    """


class CustomRuleError(FgradError, TypeError):
    """A custom rule or an external function does not keep its contract.

    Fails::

        @fgrad.custom_vjp
        def f(x):
            return np.sin(x)

        f.defvjp(lambda x: (np.sin(x), np.cos(x)), lambda cosine, ct: ct * cosine)
        fgrad.grad(f)(1.0)

    The message names the rule, and what it returned and should have. Here the backward
    rule must return a tuple with one cotangent for each argument::

        @fgrad.custom_vjp
        def f(x):
            return np.sin(x)

        f.defvjp(lambda x: (np.sin(x), np.cos(x)), lambda cosine, ct: (ct * cosine,))
        fgrad.grad(f)(1.0)
    """


class ExportError(FgradError, TypeError):
    """A jitted function does what a module that needs NumPy only cannot hold.

    Fails::

        A = np.eye(2)
        solve = fgrad.external(lambda b: np.linalg.solve(A, b), lambda b: b)
        total = fgrad.jit(lambda b: np.sum(solve(b)))
        fgrad.export(total, (np.ones(2),), "solve.py")

    The Python function that ``external`` calls stays in your program. Write what it
    does with NumPy's functions::

        total = fgrad.jit(lambda b: np.sum(np.linalg.solve(A, b)))
        fgrad.export(total, (np.ones(2),), "solve.py")
    """


class JitError(FgradError, RuntimeError):
    """``jit`` of a function that takes too many paths, or of an unhashable static.

    Fails::

        f = fgrad.jit(lambda n: n * sum(range(int(n))), max_paths=3)
        for n in range(5):
            f(n)

    A Python branch or loop on a value is compiled anew for each outcome. Loop and
    branch in the program::

        f = fgrad.jit(lambda n: n * fgrad.fori_loop(0, n, lambda i, s: s + i, 0))
        for n in range(5):
            f(n)
    """


class LoopError(FgradError, ValueError):
    """A loop without a length, of no length, or over axes that differ in length.

    Fails::

        fgrad.scan(lambda c, x: (c + 1.0, None), 0.0)

    Give the arrays to run over, or the number of steps::

        fgrad.scan(lambda c, x: (c + 1.0, None), 0.0, length=3)
    """


class NonFiniteError(FgradError, FloatingPointError):
    """An operation on finite values gave NaN or infinity, under ``debug_nans``.

    Fails::

        with fgrad.debug_nans():
            fgrad.grad(lambda x: np.sqrt(x) * x)(0.0)

    The message names the operation and the line that it comes from, in the forward
    pass or in a derived program. Keep the operation away from where it is singular::

        with fgrad.debug_nans():
            fgrad.grad(lambda x: np.sqrt(np.where(x > 0, x, 1.0)) * x)(0.0)
    """


class ProgramError(FgradError, ValueError):
    """A program is malformed: a variable used before it is bound, or a wrong aval.

    Fails::

        fgrad.parse("{ lambda ; a:f64[3] . let c:f64[3] = sin b in (c,) }")

    Programs come from ``make_program`` and from transforms; a program written by hand
    must bind each variable once, before its use::

        fgrad.parse("{ lambda ; b:f64[3] . let c:f64[3] = sin b in (c,) }")
    """
