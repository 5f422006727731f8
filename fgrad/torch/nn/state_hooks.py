"""Hooks that run when the state of a module is collected or loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fgrad.torch.handles import RemovableHandle


def hooks_of(module: Any, kind: str) -> list[Any]:
    """The hooks of a kind, in order; most modules have none."""
    found = module.__dict__.get(kind)
    return list(found.values()) if found else []


class WithStateHooks:
    """The part of a module that takes hooks of its state."""

    def _add_state_hook(self, kind: str, hook: Any) -> RemovableHandle:
        hooks = self.__dict__.setdefault(kind, OrderedDict())
        return RemovableHandle(hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[[Any, str, bool], None]
    ) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before `state_dict` collects."""
        return self._add_state_hook("_state_dict_pre_hooks", hook)

    def register_state_dict_post_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after it; the
        dictionary may be changed in place.
        """
        return self._add_state_hook("_state_dict_hooks", hook)

    _register_state_dict_hook = register_state_dict_post_hook

    def _register_load_state_dict_pre_hook(
        self, hook: Any, with_module: bool = False
    ) -> RemovableHandle:
        module = (self,) if with_module else ()
        return self._add_state_hook(
            "_load_state_dict_pre_hooks", lambda *args: hook(*module, *args)
        )

    def register_load_state_dict_pre_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict,
        missing_keys, unexpected_keys, error_msgs)`` before `load_state_dict` copies;
        the dictionary may be changed in place.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after `load_state_dict` copied;
        the lists of keys may be changed in place.
        """
        return self._add_state_hook("_load_state_dict_post_hooks", hook)
