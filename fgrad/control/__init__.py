"""Primitives whose params are programs or functions: control flow, custom rules.

A body is traced once, without values, into a program of its own; what it closes over
becomes operands. The derivatives and the batch rule of such a primitive are the same
primitive with derived bodies, so every transform goes through every construct.
"""
