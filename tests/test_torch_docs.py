"""Every public callable of fgrad.torch says what it does, with an example that runs."""

import doctest
import inspect
import operator

import numpy as np
import pytest

import fgrad.torch as torch

NAMESPACES = [
    "autograd",
    "autograd.forward_ad",
    "autograd.functional",
    "autograd.graph",
    "distributions",
    "fft",
    "func",
    "linalg",
    "nn",
    "nn.functional",
    "nn.init",
    "nn.utils",
    "nn.utils.rnn",
    "optim",
    "optim.lr_scheduler",
    "optim.swa_utils",
    "special",
    "testing",
    "utils.checkpoint",
    "utils.data",
    "utils.hooks",
]
SCOPE = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": np}


def namespaces():
    """Names of namespaces, the namespaces, and their public names."""
    yield "torch", torch, [*torch.__all__, *torch._LAZY]
    for name in NAMESPACES:
        module = operator.attrgetter(name)(torch)
        yield name, module, module.__all__
    yield "Tensor", torch.Tensor, dir(torch.Tensor)


def needs_example(item):
    """Whether it is called: not a constant, a module, an exception or a property."""
    if isinstance(item, type):
        return not issubclass(item, Exception)
    return callable(item) and not inspect.ismodule(item)


def public_callables():
    """Docstrings by name; those that several names share come once."""
    known = set()
    for prefix, space, names in namespaces():
        for name in sorted(names):
            if name.startswith("_"):
                continue
            item = getattr(space, name)
            text = item.__doc__ or ""
            if needs_example(item) and not (text and text in known):
                known.add(text)
                yield f"{prefix}.{name}", text


CALLABLES = dict(public_callables())


@pytest.mark.parametrize("name", CALLABLES)
def test_docstring_has_an_example_that_runs(name):
    text = inspect.cleandoc(CALLABLES[name])
    example = doctest.DocTestParser().get_doctest(text, dict(SCOPE), name, None, 0)
    assert example.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report = []
    runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)
