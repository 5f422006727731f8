"""One computation a file, found automatically: a new file is a new row of the table.

A file defines ``WORKLOADS``, a list of `benchmarks.workload.Workload`. Inside
``build(np)`` the name ``np`` is the module that is passed, so the function reads as
plain NumPy and runs under every peer. `tests/test_benchmarks.py` checks it at a tiny
size.
"""
