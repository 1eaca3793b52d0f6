"""A network that also returns the tensors at named positions."""

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from understudy.taps.positions import DryRun
from understudy.taps.watch import FunctionalActivations, Key, Watch, add_hooks


class Tapped(nn.Module):
    """A network whose forward returns (output, {name: tensor}); one forward, in which no layer runs twice.

    `images` is an example batch for a dry run that checks the names (ValueError with the nearest real ones),
    gives `shapes` (name -> shape, with that batch) and finds which positions are overwritten in place later:
    only those (and `copied`, if any) are copied when read. Under torch.compile and inference mode, where an
    overwrite cannot be noticed, all are.

    The network is a submodule: parameters, modes and devices are its own, and the keys of a state dict begin
    with "network."; `tapped.network.state_dict()` has them plain. The network is not altered: called by itself
    it returns what it always did, and copies of it carry nothing of the wrapper.

    Tap first, compile the wrapper after; fullgraph=True works, for functional positions too. torch.compile
    hides some spellings of a functional activation (torch.relu_ and its like, F.sigmoid, F.tanh, F.hardswish,
    F.hardsigmoid): a forward that misses such a call raises.

    With `stops` the output is None, and a network in eval mode runs no further than to the last position; compiled,
    what comes after it is left out as unused.

    The forward raises RuntimeError when a position was not reached, when what it belongs to was called more
    or less often than in the dry run (its number would mean something else), or when a tensor that was not
    copied was overwritten after all (by a network that does so only in training mode).
    """

    def __init__(
        self,
        network: nn.Module,
        names: Sequence[str],
        images: Tensor,
        *,
        copied: Sequence[str] = (),
        stops: bool = False,
    ):
        super().__init__()
        run = DryRun(network, images)
        events = {name: run.find(name) for name in names}
        unknown = [name for name in copied if name not in events]
        if unknown:
            raise ValueError(f"`copied` names {unknown}, which is not among the tapped {list(events)}")
        self.network = network
        self.shapes = {name: tuple(event.value.shape) for name, event in events.items()}
        self._keys = {name: event.key for name, event in events.items()}
        self._calls = {owner: run.calls[owner] for _, owner, _ in self._keys.values()}
        copies = {event.key for name, event in events.items() if event.overwritten or name in copied}
        self._reading = Reading(set(self._keys.values()), copies)
        self._overwrites_images = run.overwrites_images
        self._has_functions = any(owner.endswith("()") for owner in self._calls)
        # Who calls a function is known only if every module says when it runs.
        hooked = run.modules if self._has_functions else self._calls
        self._stops, self._may_end = stops, False
        self._watch = Watch(self._see)
        self._activations = FunctionalActivations(self._watch)
        self._handles = add_hooks(network, sorted(hooked), self._watch)

    def forward(self, images: Tensor) -> tuple[Any, dict[str, Tensor]]:
        self._watch.start()
        self._reading.clear()
        try:
            output = self._run(images)
            features = {name: self._read(name) for name in self._keys}
        finally:
            self._watch.stop()
            self._reading.clear()
        return output, features

    def _run(self, images: Tensor) -> Any:
        """The network's output; None where the forward may end before it."""
        # Compiled, nothing is raised: a graph has no use for what nobody reads.
        self._may_end = self._stops and not (torch.compiler.is_compiling() or self.network.training)
        ending = contextlib.suppress(_AllSeenError) if self._may_end else contextlib.nullcontext()
        with ending, self._activations if self._has_functions else contextlib.nullcontext():
            # The images are another network's as well, and the caller's.
            output = self.network(images.clone() if self._overwrites_images else images)
            return None if self._stops else output

    def _see(self, key: Key, value: Any, inside: tuple[str, int]) -> None:
        """Read, and end the forward once all is there and what was read has been called as often as it always is."""
        self._reading.see(key, value, inside)
        is_all = self._may_end and len(self._reading.tensors) == len(self._reading.wanted)
        if is_all and all(self._watch.calls[owner] == count for owner, count in self._calls.items()):
            raise _AllSeenError

    def _read(self, name: str) -> Tensor:
        key = self._keys[name]
        _, owner, _ = key
        if key not in self._reading.tensors:
            raise RuntimeError(
                f"position {name!r} was not reached (or held no tensor) in this forward, though it was in the "
                "dry run; tap one that runs every time (or did remove() take the taps off?)" + _advice(owner)
            )
        if self._watch.calls[owner] != self._calls[owner]:
            raise RuntimeError(
                f"position {name!r} is uncertain: {owner!r} was called {self._watch.calls[owner]} times in "
                f"this forward, {self._calls[owner]} times in the dry run in eval mode" + _advice(owner)
            )
        tensor = self._reading.tensors[key]
        if key in self._reading.versions and tensor._version != self._reading.versions[key]:
            raise RuntimeError(
                f"position {name!r} was overwritten in place after it was read, though not in the dry run in "
                f"eval mode; build the network with inplace=False, or tap it with copied=({name!r},)"
            )
        return tensor

    def __enter__(self) -> "Tapped":
        return self

    def __exit__(self, *ended: object) -> None:
        """What read the network for a while is taken off it, however the block ends."""
        self.remove()

    def remove(self) -> None:
        """Take the hooks off the network; the wrapper cannot be called afterwards."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


class Reading:
    """The tensors wanted, as they come by in one forward; `versions` has those that were not copied."""

    def __init__(self, wanted: set[Key], copies: set[Key]):
        self.wanted, self.copies = wanted, copies
        self.tensors: dict[Key, Tensor] = {}
        self.versions: dict[Key, int] = {}

    def clear(self) -> None:
        self.tensors, self.versions = {}, {}

    def see(self, key: Key, value: Any, inside: tuple[str, int]) -> None:
        if key not in self.wanted or not isinstance(value, Tensor):
            return
        if key in self.copies or torch.compiler.is_compiling() or value.is_inference():
            self.tensors[key] = value.clone()
        else:
            self.tensors[key] = value
            self.versions[key] = value._version


class _AllSeenError(BaseException):
    """Nothing more is to be read in this forward. No `Exception`: a network may catch those of its own."""


def _advice(owner: str) -> str:
    if not owner.endswith("()"):
        return ""
    return (
        "; torch.compile hides functions such as torch.relu_ and F.hardswish: write x.relu_() or "
        "F.relu(x, inplace=True), or use the module"
    )
