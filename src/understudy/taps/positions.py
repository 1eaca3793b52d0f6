"""What positions a network has: one dry forward, watched."""

import difflib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from understudy.taps.grid import size_seen
from understudy.taps.watch import (
    ACTIVATIONS,
    FunctionalActivations,
    Key,
    Watch,
    add_hooks,
    refuse_wrapped,
)


@dataclass(frozen=True, kw_only=True)
class Position:
    """A place where a tensor can be read.

    `kind` is the module's class or the function's name; `shape` includes the batch of the dry run, in which the
    network worked on images of `image_size` (height, width); `parameters` counts the trainable ones of the module and
    its children. `activation` is "before ReLU" when this very tensor enters one, "after ReLU" when it left one, else
    "". `overwritten`: changed in place later in the same forward.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    image_size: tuple[int, int]
    parameters: int
    activation: str
    overwritten: bool
    is_leaf: bool


@dataclass(frozen=True, kw_only=True)
class Event:
    """One tensor seen in the dry run, kept alive so that its identity stays its own."""

    key: Key
    value: Tensor
    version: int
    checksum: Tensor
    inside: tuple[str, int]

    @property
    def identity(self) -> tuple[int, int]:
        """The tensor as it was then: an in-place change makes another one of it."""
        return id(self.value), self.version

    @property
    def overwritten(self) -> bool:
        # The version misses what was changed through `.data`; the checksum does not.
        return self.value._version != self.version or not torch.equal(self.value.sum(), self.checksum)


class DryRun:
    """Everything seen in one forward of the network with gradients off and all modules in eval mode.

    Buffers, training flags, hooks and random states are afterwards as they were.
    """

    def __init__(self, network: nn.Module, images: Tensor):
        refuse_wrapped(network)
        self.title = type(network).__name__
        self.image_size = size_seen(network, images)
        self.modules = {name: module for name, module in network.named_modules() if name}
        self.aliases = _aliases(network)
        self.events: dict[Key, Event] = {}
        watch = Watch(self._see)
        # A copy: the caller's may be an inference tensor, and the network might write into it.
        with torch.inference_mode(False):
            given = images.clone()
        output = _forward_watched(network, given, watch, list(self.modules))
        self.overwrites_images = given._version > 0
        # Empty for an output that is no tensor.
        self.output_shape: tuple[int, ...] = tuple(output.shape) if isinstance(output, Tensor) else ()
        self.calls = watch.calls
        self._functions = [e for e in self.events.values() if e.key[1].endswith("()")]
        self._activation_modules = {e.inside for e in self._functions if self._is_all_of_its_module(e)}

    def _see(self, key: Key, value: object, inside: tuple[str, int]) -> None:
        if isinstance(value, Tensor) and value.dim() >= 2:
            self.events[key] = Event(key=key, value=value, version=value._version, checksum=value.sum(), inside=inside)

    def _is_all_of_its_module(self, entering: Event) -> bool:
        """Whether a module does nothing but this function, as nn.ReLU does nothing but F.relu."""
        side, function, call = entering.key
        if side != "before" or ("after", function, call) not in self.events:
            return False
        around = [self.events.get((side, *entering.inside)) for side in ("before", "after")]
        inner = [entering, self.events["after", function, call]]
        return [e.identity for e in around if e is not None] == [e.identity for e in inner]

    def activation(self, event: Event) -> str:
        """ "before ReLU", "after ReLU" or "" by the tensor's identity, not by its module's name."""
        same = [e for e in self._functions if e.identity == event.identity]
        left = [e for e in same if e.key[0] == "after"]
        enters = [e for e in same if e.key[0] == "before"]
        if left:
            return f"after {self._printed(left[-1])}"
        return f"before {self._printed(enters[0])}" if enters else ""

    def _printed(self, function: Event) -> str:
        # torch's ReLU6 is a hardtanh inside.
        is_relu6 = isinstance(self.modules.get(function.inside[0]), nn.ReLU6)
        return "ReLU6" if is_relu6 else ACTIVATIONS[function.key[1].split(".")[-1].removesuffix("()")]

    def name(self, key: Key) -> str:
        """The shortest name of a position."""
        side, owner, call = key
        number = f"#{call}" if self.calls[owner] > 1 else ""
        return f"{'before:' if side == 'before' else ''}{owner}{number}"

    def position(self, event: Event) -> Position:
        _, owner, _ = event.key
        module = self.modules.get(owner)
        parameters = module.parameters() if module is not None else ()
        return Position(
            name=self.name(event.key),
            kind=type(module).__name__ if module is not None else owner.split(".")[-1].removesuffix("()"),
            shape=tuple(event.value.shape),
            image_size=self.image_size,
            parameters=sum(p.numel() for p in parameters if p.requires_grad),
            activation=self.activation(event),
            overwritten=event.overwritten,
            is_leaf=module is None or next(module.children(), None) is None,
        )

    def listed(self) -> list[Event]:
        """Outputs of modules, inputs and outputs of activations, each once, in the order of execution.

        Without those of modules that pass on what they are given, as an identity, or dropout outside of training.
        """
        return [e for e in self.events.values() if self._is_listed(e)]

    def _is_listed(self, event: Event) -> bool:
        side, owner, call = event.key
        if owner.endswith("()"):
            return event.inside not in self._activation_modules
        is_activation = (owner, call) in self._activation_modules
        return is_activation or (side == "after" and not self._passes_on(event))

    def _passes_on(self, event: Event) -> bool:
        """Whether it left a module without children just as it came."""
        _, owner, call = event.key
        entered = self.events.get(("before", owner, call))
        is_leaf = next(self.modules[owner].children(), None) is None
        return is_leaf and entered is not None and entered.identity == event.identity

    def find(self, name: str) -> Event:
        """The position of this name; ValueError with the nearest real ones where there is none."""
        side, owner, call = _parsed(name)
        owner = self.aliases.get(owner, owner)
        if owner not in self.calls:
            raise ValueError(self._unknown(name, owner))
        count = self.calls[owner]
        if (call is None and count > 1) or (call is not None and not 1 <= call <= count):
            prefix = "before:" if side == "before" else ""
            numbered = ", ".join(f"{prefix}{owner}#{n}" for n in range(1, count + 1))
            raise ValueError(f"{name!r}: {owner!r} is called {count} times in a forward; say which: {numbered}")
        key = (side, owner, call or 1)
        if key not in self.events:
            raise ValueError(f"position {name!r} holds no tensor of two or more axes, so it cannot be read")
        return self.events[key]

    def _unknown(self, name: str, owner: str) -> str:
        if owner in self.modules:
            return f"module {owner!r} exists but did not run in the forward, so {name!r} cannot be read"
        known = [self.name(event.key) for event in self.listed()]
        near = difflib.get_close_matches(name, known, n=4, cutoff=0.5) or known[:2] + known[-2:]
        return f"the network has no position {name!r}; near it: {', '.join(near)} (of {len(known)})"


def positions(network: nn.Module, images: Tensor) -> list[Position]:
    """The positions of a network in the order of execution, from one dry forward on these images.

    Outputs of all modules that run and do something, inputs and outputs of activations, as far as they are tensors of
    two or more axes. The network's own output is not among them. The network stays as it was.
    """
    run = DryRun(network, images)
    return [run.position(event) for event in run.listed()]


def _forward_watched(network: nn.Module, images: Tensor, watch: Watch, names: list[str]) -> object:
    """What the network answers."""
    training = {module: module.training for module in network.modules()}
    handles = add_hooks(network, names, watch)
    try:
        # Flags, not `eval()`: some networks do more there than set the flag.
        for module in training:
            module.training = False
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices), torch.inference_mode(False), torch.no_grad():
            watch.start()
            with FunctionalActivations(watch):
                return network(images)
    finally:
        watch.stop()
        for handle in handles:
            handle.remove()
        for module, flag in training.items():
            module.training = flag


def _aliases(network: nn.Module) -> dict[str, str]:
    """A module registered under several names goes by the first."""
    first = {module: name for name, module in network.named_modules()}
    return {name: first[module] for name, module in network.named_modules(remove_duplicate=False)}


def _parsed(name: str) -> tuple[str, str, int | None]:
    side, owner = "after", name
    for prefix in ("before", "after"):
        if name.startswith(f"{prefix}:"):
            side, owner = prefix, name.removeprefix(f"{prefix}:")
    owner, _, number = owner.partition("#")
    if number and not number.isdecimal():
        raise ValueError(f"{name!r}: after '#' comes the number of the call, from 1; found {number!r}")
    return side, owner, int(number) if number else None
