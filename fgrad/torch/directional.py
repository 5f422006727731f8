"""`jvp` and `linearize`: products with vectors from the right, by forward mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fgrad import tree
from fgrad.torch.forward import push_forward
from fgrad.torch.leaves import has_other_leaves, left
from fgrad.torch.modes import enable_grad
from fgrad.torch.tensor import Tensor
from fgrad.torch.tree_text import structure_text

Function = Callable[..., Any]


def leaves_of(x: Any) -> tuple[list[Any], Any]:
    return tree.flatten(x)


def entered(x: Any) -> Any:
    """A tensor that depends on ``x`` alone, of which a gradient can be asked."""
    return x.view_as(x) if x._requires else x.detach().requires_grad_()


def _tensors_of(transform: str, value: Any, what: str) -> tuple[list[Any], Any]:
    """The leaves of an output, all of which must be tensors."""
    leaves, structure = leaves_of(value)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(
                f"{transform}: {what}, got unsupported type {type(leaf)}"
            )
    return leaves, structure


JVP = "jvp(f, primals, tangents)"
ONLY_TENSORS = "expected f(*primals) to return only tensors"


def jvp(
    func: Function,
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The result of a function, and its product with a vector from the right.

    Args:
        func: a function of tensors.
        primals: its arguments, as a tuple.
        tangents: the vector, of the same structure.
        strict: has no effect: a result that does not depend on a primal has a tangent
            of zeros.
        has_aux: whether it returns something else, too.

    Raises:
        RuntimeError: the structures or shapes differ.

    >>> x, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0])
    >>> torch.func.jvp(lambda x: x * x, (x,), (v,))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    flat, structure = _primals(primals)
    seeds, given = leaves_of(tangents)
    if given != structure:
        raise RuntimeError(
            f"{JVP}: Expected primals and tangents to have the same python structure. "
            "For example, if primals is a tuple of 3 tensors, tangents also must be. "
            f"Got primals with structure {structure_text(primals)} and tangents with "
            f"structure {structure_text(tangents)}"
        )
    for tangent in seeds:
        if not isinstance(tangent, Tensor):
            raise RuntimeError(
                f"{JVP}: Expected tangents to only contain Tensors, got {type(tangent)}"
            )
    for primal, tangent in zip(flat, seeds, strict=True):
        check_tangent(primal, tangent)
    output, aux, outputs, out_structure, points = recorded(func, primals, has_aux)
    keep = has_other_leaves([*outputs, *seeds], points)
    found = push_forward(outputs, points, seeds, keep)
    shown = tree.map_leaves(lambda y: left(y, keep), output)
    pushed = tree.unflatten(out_structure, found)
    return (
        (shown, pushed, tree.map_leaves(lambda y: left(y, keep), aux))
        if has_aux
        else (shown, pushed)
    )


def _primals(primals: Any) -> tuple[list[Any], Any]:
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{JVP}: Expected primals to be a tuple. E.g. it should be valid to call "
            "f(*primals)."
        )
    flat, structure = leaves_of(primals)
    if not flat:
        raise RuntimeError(f"{JVP}: Expected primals to contain at least one Tensor.")
    return flat, structure


def check_tangent(primal: Any, tangent: Any) -> None:
    if primal._aval.dtype.kind not in "fc":
        raise ValueError(
            f"Expected primal to be floating point or complex, but got: {primal.dtype}"
        )
    if primal._aval.shape != tangent._aval.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of "
            "the original Tensor, this is not supported. Tensor is of size "
            f"{list(primal.shape)} while the given forward gradient is of size "
            f"{list(tangent.shape)}."
        )


def recorded(func: Function, primals: Any, has_aux: bool) -> Any:
    """The output of a function, what comes with it, its leaves, and the points."""
    flat, structure = leaves_of(primals)
    with enable_grad():
        points = [entered(x) for x in flat]
        result = func(*tree.unflatten(structure, points))
    if has_aux and not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"{JVP}: output of function f should be a tuple: (output, aux) if has_aux "
            "is True"
        )
    output, aux = result if has_aux else (result, None)
    outputs, out_structure = _tensors_of(JVP, output, ONLY_TENSORS)
    return output, aux, outputs, out_structure, points


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """The result of a function, and the linear function that pushes tangents forward.

    The function runs once, however often tangents are pushed forward.

    >>> value, push = torch.func.linearize(torch.sin, torch.tensor([0.0, 1.0]))
    >>> push(torch.tensor([1.0, 2.0]))
    tensor([1.0000, 1.0806])
    """
    flat, structure = leaves_of(primals)
    output, _, outputs, out_structure, points = recorded(func, primals, False)
    keep = has_other_leaves(outputs, points)

    def push(*tangents: Any) -> Any:
        seeds, given = leaves_of(tangents)
        if given != structure:
            raise RuntimeError(
                f"Expected the tangents {structure_text(tangents)} to have the same "
                f"argspec as the primals {structure_text(primals)}"
            )
        for k, (primal, tangent) in enumerate(zip(flat, seeds, strict=True)):
            for name in ("shape", "dtype"):
                mine, other = getattr(tangent, name), getattr(primal, name)
                if mine != other:
                    raise RuntimeError(
                        f"tangent:{k} with {name} {mine} in flattened pytree doesn't "
                        f"match the {name} {other} of the corresponding primal."
                    )
        is_inner = keep or any(x._requires for x in seeds)
        return tree.unflatten(
            out_structure, push_forward(outputs, points, seeds, is_inner)
        )

    return tree.map_leaves(lambda y: left(y, keep), output), push
