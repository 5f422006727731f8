"""Scripts that run on PyTorch and on fgrad.torch, one small file each.

A file has a list `SCRIPTS`. `build` takes the library, under the name that users give
it, sets up what the script needs and returns its `step`; nothing in it may ask which
library it is. Random numbers come from `benchmarks.script`, so that both start alike.
"""
