"""Many devices: shardings pass through; the examples agree with one device."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

import fgrad
from fgrad.errors import BackendError, TreeError

EXAMPLES = Path(__file__).parent.parent / "examples"
ONE = SingleDeviceSharding(jax.devices()[0])


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_eight_devices(code: str) -> None:
    start = """
        import os
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
        import jax, numpy as np, fgrad
        from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
        mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("x", "y"))
        place = lambda x, *names: jax.device_put(x, NamedSharding(mesh, P(*names)))
        X = place(np.arange(32, dtype="float32").reshape(8, 4), "x", "y")
    """
    run("-c", textwrap.dedent(start) + textwrap.dedent(code))


def test_results_stay_where_arguments_are() -> None:
    on_eight_devices("""
        A = np.ones((8, 4), "float32")
        B = place(A, "x", "y")
        f = lambda x: np.sum(np.tanh(x * A) * np.sin(x * B))
        for g in (fgrad.jit(fgrad.grad(f), backend="jax"), fgrad.grad(f)):
            for _ in range(3):
                out = g(X)
                assert out.sharding.is_equivalent_to(X.sharding, 2), out.sharding
                np.testing.assert_allclose(out, fgrad.grad(f)(np.asarray(X)), 1e-5)
    """)


def test_guards_of_distributed_values() -> None:
    on_eight_devices("""
        f = fgrad.jit(lambda x: x * 2 if np.sum(x) > 0 else -x, backend="jax")
        for _ in range(2):
            np.testing.assert_array_equal(f(X), X * 2)
            np.testing.assert_array_equal(f(-X), X)
        assert f(-X).sharding == X.sharding
        assert f.cache_info().misses == 2
    """)


def test_shardings_that_are_asked_for() -> None:
    on_eight_devices("""
        rows, whole = NamedSharding(mesh, P("x")), NamedSharding(mesh, P())
        f = fgrad.jit(
            lambda p, x, scale=1.0: {"y": p["w"] * x * scale, "s": np.sum(x)},
            backend="jax",
            in_shardings=({"w": whole}, rows),
            out_shardings={"y": rows, "s": whole},
        )
        for x in (np.asarray(X), X):  # an array of jax with another layout is moved
            x = x if x is not X else jax.device_put(X, rows)
            out = f({"w": place(np.float32(2.0))}, x)
            assert out["y"].sharding == rows and out["s"].sharding == whole
            np.testing.assert_array_equal(out["y"], 2 * X)
        text = f.lower({"w": fgrad.Aval((), "float32")}, X).stablehlo()
        assert "sharding" in text
        one = fgrad.jit(lambda x: (x, x), backend="jax", out_shardings=rows)
        assert all(y.sharding == rows for y in one(place(np.ones((4, 2)))))
    """)


def test_shardings_and_donation_on_one_device() -> None:
    mesh = Mesh(np.array(jax.devices()[:1]), "d")
    layout = NamedSharding(mesh, PartitionSpec())
    f = fgrad.jit(
        lambda x, y: (x + y, y),
        backend="jax",
        in_shardings=(layout, None),
        out_shardings=(layout, None),
        donate_argnums=0,
    )
    x = jax.device_put(np.ones(3), layout)
    out = f(x, np.ones(3))
    assert out[0].sharding == layout and x.is_deleted()


def test_shardings_that_do_not_fit() -> None:
    with pytest.raises(BackendError, match="backend='jax'"):
        fgrad.jit(np.sin, in_shardings=ONE)
    f = fgrad.jit(lambda x, y: x, backend="jax", in_shardings=(ONE,))
    with pytest.raises(TreeError, match="in_shardings"):
        f(1.0, 2.0)
    f = fgrad.jit(lambda x: x, backend="jax", out_shardings={"a": ONE})
    with pytest.raises(TreeError, match="out_shardings"):
        f(1.0)


def check_example(name: str) -> str:
    out = run(str(EXAMPLES / name), "--steps", "21", "--batch", "256")
    found = re.search(r"largest difference to one device: (\S+)", out)
    assert found is not None and float(found.group(1)) <= 1e-6, out
    return out


def test_data_parallel_example() -> None:
    out = check_example("data_parallel.py")
    assert re.search(r"parameters lie on \d+ devices", out)


def test_multi_process_example() -> None:
    out = check_example("multi_process.py")
    assert "in 2 processes" in out


@pytest.mark.gpu
def test_results_stay_on_the_gpu() -> None:
    x: Any = jax.device_put(np.ones(3, "float32"), jax.devices("gpu")[0])
    f = lambda x: np.sum(np.sin(x) ** 2)
    for g in (fgrad.grad(f), fgrad.jit(fgrad.grad(f), backend="jax")):
        assert g(x).devices() == x.devices()
        np.testing.assert_allclose(g(x), fgrad.grad(f)(np.asarray(x)), 1e-5)
