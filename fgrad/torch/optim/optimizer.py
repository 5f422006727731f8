"""The base of all optimisers: parameter groups, state, `state_dict`."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

from fgrad.torch.environment import typename
from fgrad.torch.handles import RemovableHandle
from fgrad.torch.modes import STATE, enable_grad, no_grad
from fgrad.torch.tensor import Tensor

UNORDERED = (
    "optimizer parameters need to be organized in ordered collections, but the "
    "ordering of tensors in sets will change between runs. Please use a list instead."
)
MIXED = (
    "all optimizer params should be with/without names. Some param names are missing"
)
MIXED_GROUPS = (
    "all optimizer param groups should be with/without names. cannot add param group "
    "with{} names to the optimizer"
)
REPEATED = (
    "optimizer contains a parameter group with duplicate parameters; in future, this "
    "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
    "information"
)


def at_least_zero(**values: float) -> None:
    """Check options.

    Raises:
        ValueError: one is negative.
    """
    for name, value in values.items():
        text = {"lr": "learning rate", "eps": "epsilon value"}.get(
            name, f"{name} value"
        )
        if not value >= 0.0:
            raise ValueError(f"Invalid {text}: {value}")


def one_number(lr: Any) -> None:
    """Check that a learning rate that is a tensor has one element.

    Raises:
        ValueError: it has several, or none.
    """
    if isinstance(lr, Tensor) and lr._aval.size != 1:
        raise ValueError("Tensor lr must be 1-element")


def check_betas(betas: tuple[float, float]) -> None:
    """Check the decay rates of Adam and its relatives.

    Raises:
        ValueError: one is outside of ``[0, 1)``.
    """
    for place, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {place}: {beta}")


class Optimizer:
    """Changes parameters by their gradients; a subclass says how, in `update`.

    Args:
        params: tensors, or dictionaries with ``params`` and options of their own.
        defaults: the options.

    Attributes:
        param_groups: dictionaries of the parameters and their options.
        state: what is remembered for each parameter.
        step_count: how many steps were made; schedulers look at it.

    Raises:
        TypeError: ``params`` is a tensor itself.
        ValueError: there are no parameters, or one is no leaf or given twice.

    >>> groups = [{"params": torch.ones(2)}, {"params": torch.ones(2), "lr": 0.5}]
    >>> optimizer = torch.optim.SGD(groups, lr=0.1)
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.1, 0.5]
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of "
                f"Tensors or dicts, but got {params.type()}"
            )
        self.defaults = defaults
        self.state: dict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self.step_count = 0
        self._before: OrderedDict[int, Any] = OrderedDict()
        self._after: OrderedDict[int, Any] = OrderedDict()
        self._state_hooks: dict[str, OrderedDict[int, Any]] = {}
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(dict(group))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own.

        Raises:
            TypeError: what is given is no tensor.
            ValueError: one is no leaf, or is there already.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = {**param_group, **_named(param_group["params"])}
        params = group["params"]
        for x in params:
            if not isinstance(x, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{typename(x)}"
                )
            if not x.is_leaf and not x._retains:
                raise ValueError("can't optimize a non-leaf Tensor")
        if len({id(x) for x in params}) < len(params):
            warnings.warn(REPEATED, UserWarning, stacklevel=3)
        has_names = "param_names" in group
        for other in self.param_groups:
            if has_names != ("param_names" in other):
                raise ValueError(MIXED_GROUPS.format("" if has_names else "out"))
        known = {id(x) for other in self.param_groups for x in other["params"]}
        if known & {id(x) for x in params}:
            raise ValueError("some parameters appear in more than one parameter group")
        missing = {name: x for name, x in self.defaults.items() if name not in group}
        self.param_groups.append({**group, **missing})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero.

        >>> x = torch.ones(1, requires_grad=True)
        >>> x.grad = torch.ones(1)
        >>> torch.optim.SGD([x]).zero_grad()
        >>> print(x.grad)
        None
        """
        for group in self.param_groups:
            for x in group["params"]:
                if set_to_none:
                    x._grad = None
                elif x._grad is not None:
                    x._grad.detach_().zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters by their gradients; those without one stay as they are.

        Args:
            closure: computes the loss and the gradients anew; called first.

        Returns:
            What the closure returned.

        >>> x = torch.ones(1, requires_grad=True)
        >>> x.grad = torch.tensor([4.0])
        >>> torch.optim.SGD([x], lr=0.5).step()
        >>> x
        tensor([-1.], requires_grad=True)
        """
        self.step_count += 1
        given = (self,) if closure is None else (self, closure)
        for hook in list(self._before.values()):
            hook(self, given, {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if STATE.watch is not None:
            for group in self.param_groups:
                STATE.watch.stepped(group["params"])
        for number, group in enumerate(self.param_groups):
            self._update_group(number, group)
        for hook in list(self._after.values()):
            hook(self, given, {})
        return loss

    def _update_group(self, number: int, group: dict[str, Any]) -> None:
        for x in group["params"]:
            self._update_one(x, group)

    def _update_one(self, x: Tensor, group: dict[str, Any]) -> None:
        if x._grad is None:
            return
        with no_grad():
            gradient = -x._grad if group.get("maximize") else x._grad  # type: ignore[operator] # operators are given to the class later
            self.update(x, gradient, group, self.state[x])
        if not self.state[x]:
            del self.state[x]

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """Change one parameter; a subclass defines it."""
        raise NotImplementedError(
            f"{type(self).__name__} defines neither update() nor step()"
        )

    def register_step_pre_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step.

        >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)])
        >>> handle = optimizer.register_step_pre_hook(lambda *given: print("before"))
        >>> optimizer.step()
        before
        """
        return RemovableHandle(self._before, hook)

    def register_step_post_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step.

        >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)])
        >>> handle = optimizer.register_step_post_hook(lambda *given: print("after"))
        >>> optimizer.step()
        after
        """
        return RemovableHandle(self._after, hook)

    def _numbers(self) -> dict[int, int]:
        """The number of each parameter, by identity."""
        params = [x for group in self.param_groups for x in group["params"]]
        return {id(x): number for number, x in enumerate(params)}

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, with numbers in place of parameters."""
        for hook in self._hooks_of("before saving"):
            hook(self)
        numbers = self._numbers()
        groups = []
        for group in self.param_groups:
            packed = {name: x for name, x in group.items() if name != "params"}
            packed["params"] = [numbers[id(x)] for x in group["params"]]
            groups.append(packed)
        state = {numbers.get(id(x), x): value for x, value in self.state.items()}
        found = {"state": state, "param_groups": groups}
        for hook in self._hooks_of("after saving"):
            changed = hook(self, found)
            found = found if changed is None else changed
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a copy of what `state_dict` gave.

        Raises:
            ValueError: the groups are others.

        >>> old = torch.optim.SGD([torch.ones(1)], lr=0.5)
        >>> new = torch.optim.SGD([torch.ones(1)], lr=0.1)
        >>> new.load_state_dict(old.state_dict())
        >>> new.param_groups[0]["lr"]
        0.5
        """
        state_dict = dict(state_dict)
        for hook in self._hooks_of("before loading"):
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        groups = copy.deepcopy(state_dict["param_groups"])
        if len(groups) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups"
            )
        for own, new in zip(self.param_groups, groups, strict=True):
            if len(own["params"]) != len(new["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match "
                    "the size of optimizer's group"
                )
        by_number: dict[int, Any] = {}
        for own, new in zip(self.param_groups, groups, strict=True):
            by_number |= dict(zip(new["params"], own["params"], strict=True))
            own.update({name: x for name, x in new.items() if name != "params"})
        self.state = defaultdict(dict)
        for number, value in copy.deepcopy(state_dict["state"]).items():
            x = by_number.get(number)
            self.state[number if x is None else x] = (
                value
                if x is None
                else {name: _fitting(name, entry, x) for name, entry in value.items()}
            )
        self.__setstate__({})
        for hook in self._hooks_of("after loading"):
            hook(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Called when a state was loaded; a subclass may add options that are new."""
        self.__dict__.update(state)

    def _hooks_of(self, moment: str) -> list[Any]:
        return list(self._state_hooks.get(moment, {}).values())

    def _add_state_hook(self, moment: str, hook: Any, prepend: bool) -> RemovableHandle:
        hooks = self._state_hooks.setdefault(moment, OrderedDict())
        handle = RemovableHandle(hooks, hook)
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    def register_state_dict_pre_hook(
        self, hook: Any, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before each `state_dict`."""
        return self._add_state_hook("before saving", hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Any, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after it; it may give another one."""
        return self._add_state_hook("after saving", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Any, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before each `load_state_dict`."""
        return self._add_state_hook("before loading", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Any, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after it."""
        return self._add_state_hook("after loading", hook, prepend)

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for number, group in enumerate(self.param_groups):
            text += f"\nParameter Group {number}\n"
            names = sorted(name for name in group if name != "params")
            text += "".join(f"    {name}: {group[name]}\n" for name in names)
        return text + ")"


def _named(given: Any) -> dict[str, Any]:
    """The parameters of a group, and their names if they have some.

    Raises:
        TypeError: they have no order.
        ValueError: some have names.
    """
    if isinstance(given, set):
        raise TypeError(UNORDERED)
    found: list[Any] = [given] if isinstance(given, Tensor) else list(given)
    names = [x[0] for x in found if isinstance(x, tuple)]
    if names and len(names) < len(found):
        raise ValueError(MIXED)
    if names:
        return {"params": [x[1] for x in found], "param_names": names}
    return {"params": found}


def _fitting(name: str, value: Any, x: Any) -> Any:
    """An entry of the state in the dtype, and on the device, of its parameter."""
    is_array = isinstance(value, Tensor) and name != "step"
    return value.to(x.device, x.dtype) if is_array else value


def decayed(x: Any, gradient: Any, group: dict[str, Any]) -> Any:
    """The gradient with that of the weight decay."""
    decay = group["weight_decay"]
    return gradient.add(x, alpha=decay) if decay else gradient
