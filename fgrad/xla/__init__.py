"""Calls that run on XLA: ``jit(backend="jax")``, transforms of jax arrays, bridges.

`fgrad.lower.jax` makes a function of jax arrays of a program; what is here decides when
one is traced, which one a call runs, and what goes in and comes out.
"""
