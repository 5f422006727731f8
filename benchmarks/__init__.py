"""Speed of fgrad next to its peers: ``python -m benchmarks`` from the repository root.

`workloads/` holds one computation a file, `peers.py` the libraries that differentiate
it, `probes/` the measurements that are not a workload: import, first call, memory and
scaling. Results go to `results/`.
"""
