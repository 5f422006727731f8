"""A cubic polynomial fitted to the sine, four ways, under fgrad.torch or PyTorch.

By hand, by ``backward()``, by a module and an optimiser, and by L-BFGS. All four end
at the same polynomial. ``python examples/torch_polynomial.py torch`` runs the same
script under PyTorch.
"""

import importlib
import math
import sys

torch = importlib.import_module(
    "torch" if sys.argv[1:2] == ["torch"] else "fgrad.torch"
)

x = torch.linspace(-math.pi, math.pi, 2000, dtype=torch.float64)
y = torch.sin(x)
powers = torch.stack([x**k for k in range(4)], 1)
STEPS, RATE = 3000, 1e-6


def report(name, coefficients, loss):
    terms = " + ".join(f"{a:.4f} x^{k}" for k, a in enumerate(coefficients.tolist()))
    print(f"{name:>10}: loss {loss:8.4f}  y = {terms}")


# 1. By hand: the gradient of the sum of squares, written down
a = torch.zeros(4, dtype=torch.float64)
for _ in range(STEPS):
    residual = powers @ a - y
    a -= RATE * 2 * (powers.t() @ residual)
by_hand = a
report("by hand", a, (powers @ a - y).pow(2).sum())

# 2. The same gradient by backward()
a = torch.zeros(4, dtype=torch.float64, requires_grad=True)
for _ in range(STEPS):
    loss = (powers @ a - y).pow(2).sum()
    loss.backward()
    with torch.no_grad():
        a -= RATE * a.grad
        a.grad = None
report("backward", a, loss.item())
assert torch.allclose(a, by_hand)

# 3. A module, a loss and an optimiser
model = torch.nn.Sequential(torch.nn.Linear(4, 1, bias=False), torch.nn.Flatten(0))
model = model.double()
torch.nn.init.zeros_(model[0].weight)
criterion = torch.nn.MSELoss(reduction="sum")
optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
for _ in range(STEPS):
    optimizer.zero_grad()
    loss = criterion(model(powers), y)
    loss.backward()
    optimizer.step()
report("optimiser", model[0].weight.flatten(), loss.item())
assert torch.allclose(model[0].weight.flatten(), by_hand)

# 4. L-BFGS needs a closure, and a dozen steps where the others need thousands
a = torch.zeros(4, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.LBFGS([a], max_iter=50, line_search_fn="strong_wolfe")


def closure():
    optimizer.zero_grad()
    loss = (powers @ a - y).pow(2).sum()
    loss.backward()
    return loss


optimizer.step(closure)
report("L-BFGS", a, closure().item())
exact = torch.linalg.lstsq(powers, y.unsqueeze(1)).solution.squeeze(1)
report("exact", exact, (powers @ exact - y).pow(2).sum())
assert torch.allclose(a, exact, atol=1e-4)
