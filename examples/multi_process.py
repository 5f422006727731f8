"""Train in several processes, as on the machines of a cluster.

Run ``python examples/multi_process.py``: it starts two processes on this machine, which
find each other on loopback; each has four devices (of the CPU, without a GPU). Each
makes its own part of the batch. The step is that of ``examples/data_parallel.py``, and
so are the parameters, which are compared with those of one process with one device.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")

import jax
import numpy as np
from data_parallel import make_data, make_params, update
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import fgrad


def train(mesh, steps, batch):
    """The parameters after some steps; each process holds its rows of the batch."""
    rng = np.random.default_rng(0)
    everywhere = NamedSharding(mesh, PartitionSpec())
    in_parts = NamedSharding(mesh, PartitionSpec("data"))
    step = fgrad.jit(update, backend="jax", donate_argnums=0)
    params = jax.device_put(make_params(rng), everywhere)
    count, own = jax.process_count(), jax.process_index()
    rows = slice(own * batch // count, (own + 1) * batch // count)
    for number in range(steps):
        parts = [part[rows] for part in make_data(rng, batch)]
        x, y = (
            jax.make_array_from_process_local_data(in_parts, part) for part in parts
        )
        params, value = step(params, x, y)
        if own == 0 and number % 20 == 0:
            print(f"  step {number:3d}  loss {float(value):.5f}", flush=True)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(params)]


def work(options):
    """What each process does."""
    jax.distributed.initialize(options.address, options.processes, options.process)
    mesh = Mesh(np.array(jax.devices()), "data")
    params = train(mesh, options.steps, options.batch)
    if options.process == 0:
        devices = f"{mesh.size} devices in {jax.process_count()} processes"
        print(f"trained on {devices}", flush=True)
        np.savez(options.output, *params)
    jax.distributed.shutdown()


def start(options, output):
    """Start the processes, and wait for them."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    command = [sys.executable, __file__, "--address", address, "--output", output]
    for name in ("steps", "batch", "processes"):
        command += [f"--{name}", str(getattr(options, name))]
    running = [
        subprocess.Popen([*command, "--process", str(k)])
        for k in range(options.processes)
    ]
    try:
        codes = [process.wait(timeout=240) for process in running]
    finally:
        for process in running:
            process.kill()
    if any(codes):
        sys.exit(f"a process failed: exit codes {codes}")


def main():
    """Train in processes and in this one, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=61)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--process", type=int, help="the number of this one")
    parser.add_argument("--address", help="of the process with number 0")
    parser.add_argument("--output", help="where process 0 writes the parameters")
    options = parser.parse_args()
    if options.process is not None:
        work(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "params.npz")
        start(options, output)
        with np.load(output) as file:
            many = list(file.values())
    print("one process, one device")
    one = train(Mesh(np.array(jax.devices()[:1]), "data"), options.steps, options.batch)
    pairs = zip(one, many, strict=True)
    difference = max(np.abs(a - b).max() for a, b in pairs)
    print(f"largest difference to one device: {difference:.1e}")


if __name__ == "__main__":
    main()
