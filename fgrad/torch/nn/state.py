"""`state_dict` and `load_state_dict`: what a module holds, as a flat dictionary."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import TYPE_CHECKING, Any

from fgrad.torch.modes import no_grad
from fgrad.torch.nn.state_hooks import hooks_of
from fgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    from fgrad.torch.nn.module import Module


EXTRA = "_extra_state"
_NO_EXTRA = (
    "Reached a code path in Module.{}_extra_state() that should never be called. "
    "Please file an issue at "
    "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml "
    "to report this bug."
)


def get_extra_state(self: Any) -> Any:
    """What ``state_dict`` holds besides tensors; a subclass may define it."""
    raise RuntimeError(_NO_EXTRA.format("get"))


def set_extra_state(self: Any, state: Any) -> None:
    """Take over what `get_extra_state` gave; a subclass may define it."""
    raise RuntimeError(_NO_EXTRA.format("set"))


def has_extra_state(module: Module) -> bool:
    """Whether the class of a module defines it."""
    return type(module).get_extra_state is not get_extra_state


class IncompatibleKeys(
    namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])
):
    """The keys that did not match; empty lists where all did."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return "_" + super().__repr__()

    __str__ = __repr__


def collect(
    module: Module, destination: Any, prefix: str, keep_vars: bool
) -> dict[str, Any]:
    """The parameters and persistent buffers of a module and its children."""
    found: dict[str, Any] = OrderedDict() if destination is None else destination
    for hook in hooks_of(module, "_state_dict_pre_hooks"):
        hook(module, prefix, keep_vars)
    for name, value in own_entries(module).items():
        found[prefix + name] = value if keep_vars else value.detach()
    if has_extra_state(module):
        found[prefix + EXTRA] = module.get_extra_state()
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(
                destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
    for hook in hooks_of(module, "_state_dict_hooks"):
        hook(module, found, prefix, {"version": 1})
    return found


def own_entries(module: Module) -> dict[str, Tensor]:
    """The parameters and persistent buffers of a module itself."""
    own = {**module._parameters, **module._buffers}
    skipped = module._non_persistent_buffers_set
    return {k: v for k, v in own.items() if v is not None and k not in skipped}


def load(module: Module, state: Any, strict: bool, assign: bool) -> IncompatibleKeys:
    """Copy the tensors of a dictionary into a module.

    Raises:
        TypeError: it is no dictionary.
        RuntimeError: keys are missing or unexpected (if ``strict``), or shapes differ.
    """
    if not isinstance(state, dict):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state)}.")
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    lists = (missing, unexpected, errors)
    _load_into(module, OrderedDict(state), "", strict, assign, lists)
    if strict:
        if unexpected:
            errors.insert(
                0, f"Unexpected key(s) in state_dict: {_listed(unexpected)}. "
            )
        if missing:
            errors.insert(0, f"Missing key(s) in state_dict: {_listed(missing)}. ")
    if errors:
        text = "\n\t".join(errors)
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{text}"
        )
    return IncompatibleKeys(missing, unexpected)


def _load_into(
    module: Module,
    state: OrderedDict[str, Any],
    lead: str,
    strict: bool,
    assign: bool,
    lists: tuple[list[str], list[str], list[str]],
) -> None:
    """Load what belongs to a module, and to those in it.

    Args:
        module: the module.
        state: all keys that begin with ``lead``; hooks may change it.
        lead: the module's own name, with a dot.
        strict: what hooks are told.
        assign: take the tensors themselves.
        lists: missing and unexpected keys, and errors, which are added to.
    """
    missing, unexpected, errors = lists
    for hook in hooks_of(module, "_load_state_dict_pre_hooks"):
        hook(state, lead, {}, strict, missing, unexpected, errors)
    own = own_entries(module)
    for name, target in own.items():
        key = lead + name
        if key not in state:
            missing.append(key)
        else:
            _load_one(module, name, key, target, state[key], assign, errors)
    has_extra = has_extra_state(module)
    if has_extra and lead + EXTRA in state:
        module.set_extra_state(state[lead + EXTRA])
    elif has_extra:
        missing.append(lead + EXTRA)
    for key in state:
        if has_extra and key == lead + EXTRA:
            continue
        first, dot, _ = key.removeprefix(lead).partition(".")
        if first not in (module._modules if dot else own):
            unexpected.append(key)
    for name, child in module._modules.items():
        if child is not None:
            inner = f"{lead}{name}."
            part = {key: value for key, value in state.items() if key.startswith(inner)}
            _load_into(child, OrderedDict(part), inner, strict, assign, lists)
    for hook in hooks_of(module, "_load_state_dict_post_hooks"):
        hook(module, IncompatibleKeys(missing, unexpected))


def _listed(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)


def _load_one(
    module: Module,
    name: str,
    key: str,
    target: Tensor,
    value: Any,
    assign: bool,
    errors: list[str],
) -> None:
    if not isinstance(value, Tensor):
        errors.append(
            f'While copying the parameter named "{key}", expected torch.Tensor or '
            f"Tensor-like object from checkpoint but received {type(value)}"
        )
    elif value._aval.shape != target._aval.shape:
        errors.append(
            f"size mismatch for {key}: copying a param with shape {value.shape} from "
            f"checkpoint, the shape in current model is {target.shape}."
        )
    elif assign:
        kind = type(target)
        setattr(module, name, value if kind is Tensor else kind(value))
    else:
        with no_grad():
            target.copy_(value.detach())
