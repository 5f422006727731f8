"""A character-level network that learns to spell numbers, under fgrad.torch.

An embedding of the last three characters, a hidden layer, and the chance of each
character to come next: Bengio et al., A Neural Probabilistic Language Model, 2003.
"""

import importlib
import sys

torch = importlib.import_module(
    "torch" if sys.argv[1:2] == ["torch"] else "fgrad.torch"
)
nn, F = torch.nn, torch.nn.functional

ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
WORDS = ONES + TENS + [f"{ten}-{one}" for ten in TENS for one in ONES]
CHARACTERS = [".", *sorted(set("".join(WORDS)))]  # the point ends a word
CONTEXT = 3


def examples(words):
    """Each character with those before it, as numbers."""
    contexts, targets = [], []
    for word in words:
        context = [0] * CONTEXT
        for character in [*word, "."]:
            target = CHARACTERS.index(character)
            contexts.append(context)
            targets.append(target)
            context = [*context[1:], target]
    return torch.tensor(contexts), torch.tensor(targets)


class Speller(nn.Module):
    """Characters in, scores of the next character out."""

    def __init__(self, width=8, hidden=64):
        super().__init__()
        self.embedding = nn.Embedding(len(CHARACTERS), width)
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(CONTEXT * width, hidden),
            nn.Tanh(),
            nn.Linear(hidden, len(CHARACTERS)),
        )

    def forward(self, contexts):
        return self.layers(self.embedding(contexts))


torch.manual_seed(0)
contexts, targets = examples(WORDS)
loader = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(contexts, targets), batch_size=64, shuffle=True
)
model = Speller()
print(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
losses = []
for epoch in range(30):
    for inputs, wanted in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), wanted)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    scheduler.step()
    with torch.no_grad():
        losses.append(F.cross_entropy(model(contexts), targets).item())
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:2}: loss {losses[-1]:.4f}")
assert losses[-1] < 0.7 * losses[0]

spelled = []
with torch.no_grad():
    for _ in range(10):
        context, word = [0] * CONTEXT, ""
        while len(word) < 20:
            chances = F.softmax(model(torch.tensor([context])), dim=1)
            character = torch.multinomial(chances, 1).item()
            if character == 0:
                break
            word += CHARACTERS[character]
            context = [*context[1:], character]
        spelled.append(word)
print("spelled:", ", ".join(spelled))
