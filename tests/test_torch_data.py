"""Data sets, samplers, loaders; saving and loading without pickles."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_oracle import agree

import fgrad.torch as torch

PRELUDE = """
data = torch.utils.data
class Squares(data.Dataset):
    def __len__(self): return 5
    def __getitem__(self, k): return {'x': k, 'y': float(k * k), 'n': np.ones(2) * k}
class Stream(data.IterableDataset):
    def __iter__(self): return iter(range(5))
class Together(Squares):
    def __getitems__(self, indices): return [(k, len(indices)) for k in indices]
class Doubled(data.TensorDataset):
    def __getitem__(self, k): return [2 * x for x in super().__getitem__(k)]
t = data.TensorDataset(torch.arange(6).view(6, 1), torch.arange(6.))
""".strip()

SOURCES = [
    "len(t), t[1], t[:2], t[-1]",
    "data.TensorDataset(c, i)",
    "list(data.DataLoader(t, batch_size=4))",
    "list(data.DataLoader(t, batch_size=4, drop_last=True))",
    "len(data.DataLoader(t, 4)), len(data.DataLoader(t, 4, drop_last=True))",
    "list(data.DataLoader(t, batch_size=None))[0]",
    "list(data.DataLoader(Squares(), 3))",
    "list(data.DataLoader(Squares(), 3, collate_fn=len))",
    "list(data.DataLoader(Stream(), 2)), list(data.DataLoader([1., 2., 3.], 2))",
    "list(data.DataLoader(Stream(), 2, drop_last=True))",
    "list(data.DataLoader(['a', 'b'], 2)), list(data.DataLoader([(1, 'a')] * 2, 2))",
    "list(data.DataLoader(t, batch_sampler=[[0, 1], [5]]))",
    "list(data.DataLoader(t, sampler=[3, 1]))",
    "sorted(b[1].item() for b in data.DataLoader(t, shuffle=True))",
    "data.DataLoader(t, shuffle=True, sampler=[1])",
    "data.DataLoader(t, 2, batch_sampler=[[1]])",
    "data.DataLoader(Stream(), shuffle=True)",
    "data.DataLoader(t, 0)",
    "list(data.DataLoader([torch.ones(2), torch.ones(3)], 2))",
    "list(data.DataLoader([[1], [1, 2]], 2))",
    "next(iter(data.DataLoader([np.float32(1), np.float32(2)], 2)))",
    "data.Subset(t, [4, 2])[0], len(data.Subset(t, [4, 2]))",
    "(t + t)[7], len(data.ConcatDataset([t, Squares()])), (t + t)[-1]",
    "[len(s) for s in data.random_split(t, [4, 2])]",
    "[len(s) for s in data.random_split(t, [.5, .3, .2])]",
    "sorted(k for s in data.random_split(range(6), [4, 2]) for k in s)",
    "data.random_split(t, [4, 3])",
    "list(data.SequentialSampler(t)), sorted(data.RandomSampler(t))",
    "len(list(data.RandomSampler(t, replacement=True, num_samples=9)))",
    "list(data.BatchSampler(range(5), 2, False)), "
    "list(data.BatchSampler(range(5), 2, True))",
    "sorted(data.SubsetRandomSampler([4, 2])), "
    "list(data.WeightedRandomSampler([0., 1.], 3))",
    "data.default_collate([{'a': 1}, {'a': 2}]), data.default_collate([1., 2.])",
    "data.StackDataset(t, Squares())[1]",
    "list(data.DataLoader(data.Subset(t, [4, 2, -1]), 2))",
    "list(data.DataLoader(data.Subset(data.Subset(t, [4, 2, 0]), [2, 1]), 2))",
    "list(data.DataLoader(t, batch_sampler=[[-1, 2], [5, 5]]))",
    "list(data.DataLoader(t, batch_sampler=[[0, 6]]))",
    "list(data.DataLoader(data.Subset(t, [4, 2]), batch_sampler=[[0, 2]]))",
    "list(data.DataLoader(t, batch_sampler=[[torch.tensor(1), True], (2,)]))",
    "list(data.DataLoader(data.TensorDataset(x), 2))",
    "list(data.DataLoader(data.TensorDataset(x.detach().t()), 2))",
    "list(data.DataLoader(Together(), 2))",
    "list(data.DataLoader(Doubled(*t.tensors), 4))",
]


@pytest.mark.parametrize("source", SOURCES)
def test_data(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


def test_shuffling_repeats_with_the_seed() -> None:
    items = torch.utils.data.TensorDataset(torch.arange(20))

    def order() -> list[int]:
        generator = torch.Generator().manual_seed(3)
        loader = torch.utils.data.DataLoader(items, 4, True, generator=generator)
        return [k for (batch,) in loader for k in batch.tolist()]

    assert order() == order() != list(range(20))


STATE: dict[str, Any] = {
    "epoch": 3,
    "loss": float("nan"),
    "best": float("inf"),
    "name": "a model",
    "flags": (True, None, [1, 2.5]),
    7: {"nested": torch.tensor([1, 2])},
    "dtype": torch.float32,
    "shape": torch.Size([2, 3]),
}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    everything = {**STATE, "model": model.state_dict(), "opt": optimizer.state_dict()}
    path = tmp_path / "checkpoint.pt"
    torch.save(everything, path)
    found = torch.load(path, map_location="cpu", weights_only=True)
    assert list(found) == list(everything)
    assert repr({k: found[k] for k in STATE}) == repr(STATE)
    assert isinstance(found["model"], OrderedDict)
    other = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    other.load_state_dict(found["model"])
    for x, y in zip(
        model.state_dict().values(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(x, y)
        assert x.dtype is y.dtype
    resumed = torch.optim.Adam(other.parameters())
    resumed.load_state_dict(found["opt"])
    assert repr(resumed.state_dict()) == repr(optimizer.state_dict())


def test_tensors_and_files() -> None:
    file = io.BytesIO()
    x = torch.tensor([[1.5, 2.0]], requires_grad=True)
    torch.save([x, torch.nn.Parameter(x.detach()), x.detach().t()], file)
    first, second, third = torch.load(file)
    assert repr(first) == repr(x)
    assert type(second) is torch.nn.Parameter
    assert third.tolist() == [[1.5], [2.0]]
    with zipfile.ZipFile(file) as archive:
        names = ["header.json", "0.npy", "1.npy", "2.npy"]
        assert archive.namelist() == names
        assert np.load(archive.open("0.npy")).tolist() == [[1.5, 2.0]]


def test_code_is_neither_saved_nor_loaded(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"of a Linear: .*Save model.state_dict\(\)"):
        torch.save(torch.nn.Linear(1, 1), io.BytesIO())
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match=r"was not written by fgrad\.torch\.save"):
        torch.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="pickles, which can run code"):
        torch.load(path)
