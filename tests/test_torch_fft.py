"""``torch.fft`` against PyTorch's: texts, values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, torch

import fgrad.torch

TRANSFORMS = [
    "fft.fft(x)", "fft.ifft(x)", "fft.rfft(x)", "fft.irfft(z)", "fft.irfft(z, n=3)",
    "fft.irfft(z, n=6)", "fft.fft2(x)", "fft.ifft2(z)", "fft.rfft2(x)",
    "fft.irfft2(z)", "fft.irfft2(z, s=(2, 3))", "fft.fftn(x, dim=(0,))",
    "fft.rfftn(x)", "fft.irfftn(z)", "fft.ifftn(z)", "fft.fft(x, n=2)",
    "fft.fft(x, n=5, norm='ortho')", "fft.fft(x, dim=0, norm='forward')",
    "fft.ifft(z, norm='ortho')", "fft.ifft(z, norm='forward')", "fft.fftshift(x)",
    "fft.irfft(z, norm='ortho')", "fft.rfft(x, norm='forward', dim=0)",
    "fft.ifftshift(x)", "fft.fftshift(x, dim=1)", "fft.irfft(fft.rfft(x), n=3)",
    "fft.hfft(z)", "fft.hfft(z, 5)", "fft.hfft(z, norm='ortho', dim=0)",
    "fft.hfft(x, norm='forward')", "fft.ihfft(x)", "fft.ihfft(x, 4)",
    "fft.ihfft(x, norm='ortho', dim=0)", "fft.ihfft(x, norm='forward')",
    "fft.hfft2(z)", "fft.hfft2(z, (3, 5))", "fft.ihfft2(x)", "fft.ihfft2(x, (3, 4))",
    "fft.hfftn(z, dim=(1, 0))", "fft.hfftn(x, norm='forward')", "fft.ihfftn(x)",
    "fft.ihfftn(x, dim=0)", "fft.ihfftn(x, norm='ortho')", "fft.hfftn(z, dim=(1,))",
]  # fmt: skip
TEXTS = [
    "fft.fft(c)",
    "fft.rfft(c).shape",
    "fft.fftfreq(5, 0.5)",
    "fft.rfftfreq(5)",
    "fft.fft(i)",
    "fft.rfft(c * 1j)",
    "fft.fft(c, n=0)",
    "fft.fft(s)",
    "fft.fft(c, norm='foo')",
    "fft.fft(d).dtype",
    "torch.func.vmap(fft.fft)(c)",
    "fft.fft(x).grad_fn.name()",
    "fft.fft2(x).grad_fn.name()",
    "fft.rfft(x).grad_fn.name()",
    "fft.irfft(x).grad_fn.name()",
    "fft.fftshift(x).grad_fn.name()",
    "fft.hfft(x).grad_fn, fft.hfftn(x).grad_fn, fft.ihfftn(x, dim=0).grad_fn",
    "fft.ihfft(x).grad_fn.name(), fft.ihfft2(x).grad_fn.name()",
    "fft.hfft(i), fft.hfft(b), fft.ihfft(i), fft.ihfft2(c)",
    "fft.ihfft(c * 1j)",
    "fft.ihfft2(c * 1j)",
    "fft.rfft2(c * 1j)",
    "fft.hfft(s)",
    "fft.hfftn(s)",
    "fft.ihfftn(s)",
    "fft.rfftn(s)",
    "fft.irfftn(s)",
    "fft.hfft(c, 0)",
    "fft.hfft(c, norm='a')",
    "fft.hfftn(c, (2,), (0, 1))",
    "fft.hfftn(c, dim=(0, 0))",
    "fft.fftn(c, dim=(0, 0))",
    "fft.hfft2(c, dim=5)",
    "fft.hfft(3)",
]


@pytest.mark.parametrize("source", TEXTS)
def test_texts(source: str) -> None:
    agree(f"fft = torch.fft\n{source}")


@pytest.mark.parametrize("source", TRANSFORMS)
def test_values_and_gradients(source: str) -> None:
    ours, theirs = run(source, fgrad.torch), run(source, torch)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, 1e-9, 1e-12)


def run(source: str, module: Any) -> list[Any]:
    x = module.tensor([[1.0, 2.0, 0.5], [4.0, 3.0, -1.0]], dtype=module.float64)
    z = module.tensor([[1 + 2j, 3.0], [0.5j, -1.0]], dtype=module.complex128)
    x.requires_grad_()
    z.requires_grad_()
    y = eval(source, {"fft": module.fft, "x": x, "z": z})
    weights = module.arange(y.numel()).reshape(y.shape) * (1 - 0.5j) + 0.3
    number = (y * weights).real.sum() + (y.abs() ** 2).sum()
    options = {"materialize_grads": True, "allow_unused": True}
    first = module.autograd.grad(number, [x, z], create_graph=True, **options)
    total = (first[0] ** 2).sum() + (first[1].abs() ** 2).sum()
    second = module.autograd.grad(total, [x, z], **options)
    found = [y, *first, *second]
    return [tensor.detach().resolve_conj().numpy() for tensor in found]
