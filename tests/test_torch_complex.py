"""Complex tensors against PyTorch's: what they print, and gradients."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, snippets, torch

import fgrad.torch

PRELUDE = """
q = torch.tensor([1 + 2j, -3.5 + 0.25j])
p = torch.tensor([1.0, 2.0])
h = torch.tensor([1.0, 2.0], dtype=torch.float64)
g = q.clone().requires_grad_()
""".strip()

PRINTED = [
    "[1 + 10j, 1 + 2j]",
    "[1 - 10j, 1 + 2j]",
    "[10 + 1j, 1 + 2j]",
    "[1 + 100.5j, 2j]",
    "[complex(1, -0.0)]",
    "[complex(1, float('nan')), 2j]",
    "[complex(1, float('inf')), complex(2, -float('inf'))]",
    "[complex(float('nan'), 1), -12 + 1j]",
    "[1e10 + 1j, 1]",
    "1e-7 + 1e-7j",
    "[[1 + 1j]]",
]
LONG = [
    "torch.arange(30) * (1 + 0.5j)",
    "torch.arange(30) * (1 - 11j)",
    "torch.arange(6) * (1.5 - 100.25j)",
    "torch.arange(40).float() * 1j",
    "torch.arange(2000) * (1 + 2j)",
    "(torch.arange(24) * (1 + 0.5j)).reshape(2, 3, 4)",
    "torch.zeros(0, 2, dtype=torch.complex64)",
    "torch.set_printoptions(precision=2) ;; r = repr(torch.tensor([1.234 + 5.678j])) "
    ";; torch.set_printoptions(profile='default') ;; r",
]


@pytest.mark.parametrize("source", snippets("complex"))
def test_complex(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


@pytest.mark.parametrize("data", PRINTED)
def test_printing(data: str) -> None:
    agree(f"torch.tensor({data})")


@pytest.mark.parametrize("source", LONG)
def test_printing_of_many(source: str) -> None:
    agree(source.replace(" ;; ", "\n"))


GRADIENTS = [
    "z.abs()", "z.angle()", "z.real", "z.imag", "z.conj()", "z * z", "z * x", "x / z",
    "z / x", "z ** 2", "z ** x", "x ** z", "z ** 0.5", "2 ** z", "z.exp()", "z.log()",
    "z.sqrt()", "z.sin()", "z.cos()", "z.tan()", "z.sinh()", "z.cosh()", "z.tanh()",
    "z.asin()", "z.atan()", "z.asinh()", "z.sigmoid()", "z.reciprocal()", "z.rsqrt()",
    "z.square()", "z.sgn()", "z.log1p()", "z.expm1()", "z.log2()", "z.log10()",
    "z.sum()", "z.mean()", "z.prod()", "z.cumsum(0)", "z.cumprod(0)", "z.var()",
    "z.std()", "z.norm()", "z.norm(1)", "torch.complex(x, x * 2)", "z.reshape(1, 3)",
    "torch.polar(x, x * 2)", "torch.view_as_real(z)", "z[1:] * z[0]", "z.flip(0)",
    "torch.view_as_complex(torch.stack([x, x * x], -1))", "torch.outer(z, z.conj())",
    "z @ z", "torch.vdot(z, z * x)", "torch.dot(z, z)", "torch.outer(z, z) @ z",
    "x.to(torch.complex128) * 1j", "z * (1 + 2j)", "(z + 1j) - x", "z.real * z.imag",
    "torch.where(x > 1, z, z * 2)", "torch.stack([z, z * x])", "torch.cat([z, x])",
    "torch.outer(z, z).mH", "torch.linalg.inv(torch.outer(z, z) + 3 * torch.eye(3))",
    "torch.linalg.det(torch.outer(z, z) + 3 * torch.eye(3))", "z.clone().mul_(z)",
    "torch.linalg.solve(torch.outer(z, z.conj()) + 3 * torch.eye(3), z)", "z.diff()",
    "torch.einsum('i,j->ij', z, z)", "z.roll(1)", "z.unsqueeze(0).expand(2, 3)",
    "torch.angle(x * z)", "z.cfloat().cdouble()", "(z * z.conj()).real", "-z",
]  # fmt: skip


@pytest.mark.parametrize("source", GRADIENTS)
def test_gradients(source: str) -> None:
    """The value, the gradients of a real function of it, and their gradients."""
    ours, theirs = run(source, fgrad.torch), run(source, torch)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, 2e-9, 1e-12)


def run(source: str, module: Any) -> list[Any]:
    z = module.tensor([1 + 2j, -0.5 + 0.25j, 0.75 - 1j], dtype=module.complex128)
    x = module.tensor([0.5, 2.0, 1.5], dtype=module.float64)
    z.requires_grad_()
    x.requires_grad_()
    y = eval(source, {"torch": module, "x": x, "z": z})
    weights = module.arange(y.numel()).reshape(y.shape) * (1.0 - 0.5j) + (0.3 + 1j)
    number = (y * weights).abs().square().sum() + (y * weights).real.sum()
    options = {"create_graph": True, "materialize_grads": True, "allow_unused": True}
    first = module.autograd.grad(number, [z, x], **options)
    total = (first[0] * (1 + 2j)).imag.sum() + (first[1] ** 2).sum()
    found = [y, *first]
    if total.requires_grad:
        options = {"materialize_grads": True, "allow_unused": True}
        found += module.autograd.grad(total, [z, x], **options)
    return [tensor.detach().resolve_conj().numpy() for tensor in found]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own
def test_forward_mode_and_gradcheck() -> None:
    def f(module: Any) -> Any:
        z = module.tensor([1 + 2j, -0.5 + 0.25j], dtype=module.complex128)
        t = module.tensor([0.5 - 1j, 2j], dtype=module.complex128)
        return module.func.jvp(lambda u: u * u.conj() + u.abs(), (z,), (t,))

    for mine, other in zip(f(fgrad.torch), f(torch), strict=True):
        np.testing.assert_allclose(mine.numpy(), other.resolve_conj().numpy())
    z = fgrad.torch.tensor([1 + 2j, 3 - 1j], dtype=fgrad.torch.complex128)
    z.requires_grad_()
    check = fgrad.torch.autograd.gradcheck
    for f_of in (lambda u: u * u, lambda u: u.abs(), lambda u: u.conj() * u.exp()):
        assert check(f_of, (z,), check_forward_ad=True)


def test_what_numpy_lacks_says_what_to_use() -> None:
    module: Any = fgrad.torch
    assert repr(module.bfloat16) == repr(torch.bfloat16)
    assert module.bfloat16.is_floating_point and module.complex32.is_complex
    assert copy.deepcopy(module.bfloat16) is module.bfloat16
    x = module.ones(2)
    for use in (
        lambda: x.bfloat16(),
        lambda: x.to(module.bfloat16),
        lambda: module.zeros(2, dtype=module.bfloat16),
        lambda: module.finfo(module.bfloat16),
        lambda: module.promote_types(module.bfloat16, module.float32),
        lambda: module.nn.Linear(1, 1).bfloat16(),
        lambda: module.nn.Linear(1, 1).to(module.bfloat16),
        lambda: module.set_default_dtype(module.bfloat16),
    ):
        with pytest.raises(NotImplementedError, match=r"use torch\.float32"):
            use()
