"""``torch.autograd.gradcheck``: gradients against differences of function values.

The numerical Jacobian is that of central differences, in which the elements of an input
are moved in place; the analytical one has a row of `autograd.grad` for each element of
an output.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from fgrad.torch.autograd import grad
from fgrad.torch.differences import (
    Check,
    GradcheckError,
    Tolerance,
    differentiable,
)
from fgrad.torch.likes import randn_like
from fgrad.torch.modes import enable_grad
from fgrad.torch.tensor import Tensor

NOT_DOUBLE = (
    "Input #{} requires gradient and is not a double precision floating point or "
    "complex. This check will likely fail if all the inputs are not of double "
    "precision floating point or complex. "
)
STRIDE_ZERO = (
    "The {}th input has a dimension with stride 0. gradcheck only supports inputs that "
    "are non-overlapping to be able to compute the numerical gradients correctly. You "
    "should call .contiguous on the input before passing it to gradcheck."
)
Function = Callable[..., Any]


def gradcheck(
    func: Function,
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Check gradients against differences of values.

    Args:
        func: returns a tensor or several.
        inputs: its arguments; those that require gradients are checked, and should be
            of double precision.
        eps: by how much elements are moved.
        atol: the absolute difference that is allowed.
        rtol: the relative one.
        raise_exception: raise where the check fails; else return False.
        nondet_tol: how much two calls of backward may differ.
        check_undefined_grad: has no effect: an absent gradient is a zero here.
        check_grad_dtypes: raise where a gradient has another dtype than its input.
        check_batched_grad: has no effect.
        check_batched_forward_grad: has no effect.
        check_forward_ad: check the forward mode, too.
        check_backward_ad: check the reverse mode.
        fast_mode: check the product with one random vector on each side.
        masked: has no effect: there are no sparse tensors.

    Raises:
        GradcheckError: a gradient is wrong.
        ValueError: no input requires a gradient.

    >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda x: (x * x).sin(), (x,))
    True
    """
    assert check_forward_ad or check_backward_ad, (
        "Expected at least one of check_forward_ad or check_backward_ad to be True"
    )
    assert check_forward_ad or not check_batched_forward_grad, (
        "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
    )
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(
                f"{name} must be greater than or equal to zero, but got {value}"
            )
    given = _inputs(inputs)
    tolerance = Tolerance(eps, atol, rtol, nondet_tol)
    check = Check(func, given, tolerance, check_grad_dtypes)
    try:
        _check_inputs(given)
        if check_forward_ad:
            check.forward()
        if check_backward_ad:
            check.backward(fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _inputs(inputs: Any) -> list[Any]:
    return [inputs] if isinstance(inputs, Tensor) else list(inputs)


def _check_inputs(inputs: list[Any]) -> None:
    is_any = False
    for number, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x._requires:
            continue
        if x._aval.dtype.name not in ("float64", "complex128"):
            warnings.warn(NOT_DOUBLE.format(number), UserWarning, stacklevel=3)
        pairs = zip(x._array.strides, x._aval.shape, strict=True)
        if any(step == 0 and length > 1 for step, length in pairs):
            raise RuntimeError(STRIDE_ZERO.format(number))
        is_any = True
    if not is_any:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none "
            "of them have requires_grad=True."
        )


def gradgradcheck(
    func: Function,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Check gradients of gradients: `gradcheck` of the products with cotangents.

    Args:
        func: returns a tensor or several.
        inputs: its arguments.
        grad_outputs: the cotangents; random by default.
        eps: as in `gradcheck`, like what follows.
        atol: the absolute difference that is allowed.
        rtol: the relative one.
        gen_non_contig_grad_outputs: has no effect.
        raise_exception: raise where the check fails; else return False.
        nondet_tol: how much two calls of backward may differ.
        check_undefined_grad: has no effect.
        check_grad_dtypes: as in `gradcheck`.
        check_batched_grad: has no effect.
        check_fwd_over_rev: check the forward mode of the reverse mode, too.
        check_rev_over_rev: check the reverse mode of the reverse mode.
        fast_mode: as in `gradcheck`.
        masked: has no effect.
    """
    given = _inputs(inputs)
    with enable_grad():
        outputs = differentiable(func(*given))
    if grad_outputs is None:
        seeds = [randn_like(y).requires_grad_() for y in outputs]
    else:
        seeds = _inputs(grad_outputs)

    def gradients(*arguments: Any) -> Any:
        primals, cotangents = arguments[: len(given)], arguments[len(given) :]
        wanted = [x for x in primals if isinstance(x, Tensor) and x._requires]
        with enable_grad():
            results = differentiable(func(*primals))
            found = grad(
                results, wanted, cotangents, create_graph=True, allow_unused=True
            )
        return tuple(g for g in found if g is not None)

    if not outputs:
        return True
    return gradcheck(
        gradients,
        [*given, *seeds],
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_grad_dtypes=check_grad_dtypes,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
    )
