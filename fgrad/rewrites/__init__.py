"""Rewrites of the programs that `jit` runs: for speed, where `bodies` is for reading.

Each rule takes one equation and what is known of those before it, and gives equations
in its place. The modules are the kinds of rules; `optimise` applies them all.
"""

from fgrad.rewrites.optimise import optimise

__all__ = ["optimise"]
