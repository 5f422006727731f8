"""Loops and branches that take arrays of jax, too, outside of `jit` and transforms."""

from fgrad.control import branches, loops, repeat
from fgrad.control import while_loop as while_loops
from fgrad.xla.lazy import on_jax

associative_scan = on_jax(repeat.associative_scan)
cond = on_jax(branches.cond)
fori_loop = on_jax(repeat.fori_loop)
map = on_jax(repeat.map)
scan = on_jax(loops.scan)
switch = on_jax(branches.switch)
while_loop = on_jax(while_loops.while_loop)
