"""A small transformer that learns to sort digits, under fgrad.torch.

It reads eight digits and says, for each place, which digit stands there after sorting.
Half-way the training is saved, and goes on with a new model and optimiser that load it.
"""

import importlib
import io
import sys

torch = importlib.import_module(
    "torch" if sys.argv[1:2] == ["torch"] else "fgrad.torch"
)
nn, F = torch.nn, torch.nn.functional

DIGITS, LENGTH, WIDTH = 6, 8, 32


class Sorter(nn.Module):
    """Digits in, scores of the digit at each place of the sorted sequence out."""

    def __init__(self):
        super().__init__()
        self.digits = nn.Embedding(DIGITS, WIDTH)
        self.places = nn.Parameter(0.1 * torch.randn(LENGTH, WIDTH))
        layer = nn.TransformerEncoderLayer(
            WIDTH, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.head = nn.Linear(WIDTH, DIGITS)

    def forward(self, x):
        return self.head(self.encoder(self.digits(x) + self.places))


def batch(size):
    x = torch.randint(0, DIGITS, (size, LENGTH))
    return x, x.sort(dim=1).values


def train(model, optimizer, steps, start=0):
    losses = []
    for step in range(start, start + steps):
        x, y = batch(64)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 50 == 49:
            print(f"step {step + 1:3}: loss {sum(losses[-20:]) / 20:.3f}")
    return losses


torch.manual_seed(0)
model = Sorter()
count = sum(p.numel() for p in model.parameters())
print(f"{count} parameters in {len(list(model.parameters()))} tensors")
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
losses = train(model, optimizer, 100)

file = io.BytesIO()
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
file.seek(0)
checkpoint = torch.load(file)
model = Sorter()
model.load_state_dict(checkpoint["model"])
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
optimizer.load_state_dict(checkpoint["optimizer"])
losses += train(model, optimizer, 100, start=100)

model.eval()
with torch.no_grad():
    x, y = batch(200)
    right = (model(x).argmax(-1) == y).double().mean().item()
print(f"right after sorting: {right:.1%}")
print(f"{x[0].tolist()} -> {model(x[:1]).argmax(-1)[0].tolist()}")
assert losses[-1] < 0.5 * losses[0]
