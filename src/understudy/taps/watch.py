"""Watch one forward: every tensor that enters or leaves a module or a functional activation.

Modules are watched by hooks and functional activations by a `TorchFunctionMode`; torch.compile traces both
into the same full graph. Hooks are registered once and are silent unless `Watch.running`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

# What counts as an activation: its functional name, and how it is called in print.
ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "leaky_relu": "LeakyReLU",
    "prelu": "PReLU",
    "rrelu": "RReLU",
    "elu": "ELU",
    "selu": "SELU",
    "celu": "CELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "hardswish": "Hardswish",
    "hardtanh": "Hardtanh",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "logsigmoid": "LogSigmoid",
    "threshold": "Threshold",
    "hardshrink": "Hardshrink",
    "softshrink": "Softshrink",
    "tanhshrink": "Tanhshrink",
    "sigmoid": "Sigmoid",
    "hardsigmoid": "Hardsigmoid",
    "tanh": "Tanh",
}

# The same function has several spellings: F.relu, torch.relu, Tensor.relu, torch.relu_, Tensor.relu_.
FUNCTIONS: dict[Callable, str] = {
    getattr(home, spelling): name
    for name in ACTIVATIONS
    for home in (F, torch, Tensor)
    for spelling in (name, f"{name}_")
    if hasattr(home, spelling)
}

# "before" or "after", who (a module's name, or "module.relu()"), and which of its calls, from 1.
Key = tuple[str, str, int]


class Watch:
    """Where one forward stands. `see(key, value, inside)` is called for each input and output.

    `inside` is the innermost running module and its call, ("", 1) for the network itself; it is only right
    when every module has hooks. The value is whatever was passed, None for an input without a tensor.
    """

    def __init__(self, see: Callable[[Key, Any, tuple[str, int]], None]):
        self.see = see
        self.running = False
        self.calls: dict[str, int] = {}
        self.stack: list[tuple[str, int]] = []

    def start(self) -> None:
        self.running, self.calls, self.stack = True, {}, [("", 1)]

    def stop(self) -> None:
        self.running, self.stack = False, []

    def enter(self, owner: str, value: Any) -> None:
        self.calls[owner] = self.calls.get(owner, 0) + 1
        call = self.calls[owner]
        self.see(("before", owner, call), value, self.stack[-1])
        self.stack.append((owner, call))

    def leave(self, value: Any) -> None:
        owner, call = self.stack.pop()
        self.see(("after", owner, call), value, self.stack[-1])


class _EnterHook:
    """Deep copies and pickles of the watched network carry an empty hook instead of the watch."""

    def __init__(self, watch: Watch, owner: str):
        self.watch, self.owner = watch, owner

    def __call__(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        if self.watch.running:
            self.watch.enter(self.owner, first_tensor(args, kwargs))

    def __reduce__(self):
        return _empty_hook, ()


class _LeaveHook:
    def __init__(self, watch: Watch):
        self.watch = watch

    def __call__(self, module: nn.Module, args: tuple, output: Any) -> None:
        if self.watch.running:
            self.watch.leave(output)

    def __reduce__(self):
        return _empty_hook, ()


def _empty_hook() -> Callable[..., None]:
    return _do_nothing


def _do_nothing(*_: Any) -> None:
    return None


def add_hooks(network: nn.Module, names: Iterable[str], watch: Watch) -> list[RemovableHandle]:
    """Hooks on the modules of these names; the handles take them off again."""
    handles = []
    for name in names:
        module = network.get_submodule(name)
        handles.append(module.register_forward_pre_hook(_EnterHook(watch, name), with_kwargs=True))
        handles.append(module.register_forward_hook(_LeaveHook(watch)))
    return handles


class FunctionalActivations(TorchFunctionMode):
    """While active, functional activations are told to the watch as "module.relu()"."""

    def __init__(self, watch: Watch):
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in FUNCTIONS or not self.watch.running:
            return func(*args, **kwargs)
        module = self.watch.stack[-1][0]
        owner = f"{module}.{FUNCTIONS[func]}()" if module else f"{FUNCTIONS[func]}()"
        self.watch.enter(owner, first_tensor(args, kwargs))
        output = func(*args, **kwargs)
        self.watch.leave(output)
        return output


def first_tensor(args: tuple, kwargs: dict) -> Tensor | None:
    """The tensor a module or a function works on: the first one it was given."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            return value
    return None


def refuse_wrapped(network: nn.Module) -> None:
    """ValueError for a network that another wraps: hooks would never fire in it, or fire in copies of it."""
    for name, module in network.named_modules():
        where = f"module {name!r} of the network" if name else "the network"
        # torch.compile(module) keeps the module as `_orig_mod`; module.compile() sets `_compiled_call_impl`.
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            raise ValueError(
                f"{where} is already compiled, and hooks added after torch.compile never fire; "
                "tap the plain network first, then compile the tapped one"
            )
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            raise ValueError(
                f"{where} is a {type(module).__name__}; give the network in it, its `module`: torchrun, with a process "
                "for each, is how several devices are used"
            )
