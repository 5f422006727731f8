"""A first PyTorch notebook on autograd, cell by cell, under fgrad.torch.

``python examples/torch_notebook.py`` prints what ``python examples/torch_notebook.py
torch`` prints under PyTorch itself.
"""

import importlib
import sys

NAME = sys.argv[1] if sys.argv[1:2] == ["torch"] else "fgrad.torch"
torch = importlib.import_module(NAME)

# Tensors that require gradients, and what is computed from them
x = torch.ones((2, 2), requires_grad=True)
print(f"[+] x:\n{x}")
y = x + 2
print(f"[+] y:\n{y}")

# By default a tensor does not require a gradient
x = torch.ones((2, 2))
print(f"[+] x.requires_grad: {x.requires_grad}")

# A result requires a gradient if one of the operands does
x = torch.randn((5, 5))
y = torch.randn((5, 5))
z = torch.randn((5, 5), requires_grad=True)
a = x + y
print(f"[+] a.requires_grad: {a.requires_grad}")
b = a + z
print(f"[+] b.requires_grad: {b.requires_grad}")

# Leaving the graph
b = b.detach()
print(f"[+] b.requires_grad: {b.requires_grad}")
try:
    b.requires_grad_(False)
except RuntimeError as error:
    print(error)
try:
    (a + z).requires_grad_(False)
except RuntimeError as error:
    print(f"[+] requires_grad_(False): {error}")
with torch.no_grad():
    c = x + z
print(f"[+] c.requires_grad: {c.requires_grad}")

# Gradients
x = torch.ones((2, 2), requires_grad=True)
y = x + 2
print(f"[+] y.grad_fn: {y.grad_fn}")
z = y * y * 3
print(f"[+] z:\n{z}")
out = z.mean()
print(f"[+] out:\n{out}")
out.backward()
print(f"[+] x.grad:\n{x.grad}")
print(out)
