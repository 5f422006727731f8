"""Rewrites of the programs that `jit` runs: for speed, where `bodies` is for reading.

Each rule takes one equation and what is known of those before it, and gives equations
in its place. The modules are the kinds of rules; `optimise` applies them all, and
`turn_products` the one that pays for pullbacks that are not jitted.
"""

from fgrad.rewrites.optimise import optimise, turn_products

__all__ = ["optimise", "turn_products"]
