"""One number of threads for all libraries, set before any of them is imported.

On a few cores the pools of OpenBLAS, OpenMP and XLA spin against each other when peers
take turns, which can cost more than the work; one thread each is the default.
"""

import os
import sys

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ONE_XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
COMPILERS = "TORCHINDUCTOR_COMPILE_THREADS"
MARK = "FGRAD_BENCHMARK_THREADS"


def restart_with(threads: int) -> None:
    """Start this command again with the pools limited, unless they are."""
    if os.environ.get(MARK) == str(threads):
        return
    os.environ.update(dict.fromkeys((*POOLS, MARK), str(threads)))
    os.environ[COMPILERS] = "1"  # else idle processes wait beside those measured
    if threads == 1:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_XLA}".strip()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])
