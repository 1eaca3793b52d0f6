"""What the phases of a method read of a network: its logits, and its features at each phase's positions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from understudy.distiller.comparisons import Site
from understudy.methods import LOGITS, Phase
from understudy.taps import Lean, Position, Tapped, lean_copy

# Phase index -> the names of the positions it reads.
Names = Mapping[int, Sequence[str]]


def positions_read(phase: Phase, sites: Mapping[str, Sequence[Site]], of: Callable[[Site], Position]) -> list[str]:
    """The positions of one network, `of` a site, that the phase's terms and guides read, each once, but the logits."""
    found = [of(site).name for term in phase.terms + phase.guides for site in sites[term.name]]
    return [*dict.fromkeys(name for name in found if name != LOGITS)]


class Reader:
    """Called with a phase's index and images: the logits and, by their names, the phase's features.

    All taps are attached here: a hook that is registered after a module was compiled never fires. A reader is no part
    of any module's state.
    """

    def __init__(self, network: nn.Module, names: Names, images: Tensor):
        self._network = network
        self._tapped = {phase: Tapped(network, [*wanted], images) for phase, wanted in names.items()}
        self._lean: dict[int, Tapped] = {}
        self._dtype = torch.float32
        # The eager ones stay: what looks at gradients runs uncompiled.
        self._compiled: dict[int, Callable[..., Any]] = {}

    def __call__(self, phase: int, images: Tensor) -> dict[str, Tensor]:
        if phase not in self._tapped:
            return {LOGITS: self._network(images)}
        with self._computing(images.device) if phase in self._lean else nullcontext():
            logits, features = self._compiled.get(phase, self.reader(phase))(images)
        return features if logits is None else {**features, LOGITS: logits}

    def reader(self, phase: int) -> Tapped:
        """What reads the network in this phase, uncompiled."""
        return self._lean.get(phase, self._tapped[phase])

    def compile(self, phase: int, **options: Any) -> None:
        """Read compiled in this phase from now on, with torch.compile's options."""
        self._compiled[phase] = torch.compile(self.reader(phase), **options)

    @contextmanager
    def uncompiled(self) -> Iterator[None]:
        """A stretch in which nothing runs compiled, which keeps no graph."""
        compiled, self._compiled = self._compiled, {}
        try:
            yield
        finally:
            self._compiled = compiled

    def make_lean(self, names: Names, without_logits: Sequence[int], images: Tensor, dtype: torch.dtype) -> Lean:
        """Read from a lean copy in these phases, no further than needed in those without logits.

        The network is in eval mode. `dtype` is the one in which autocast is to compute it.
        """
        self.drop_lean()
        every = dict.fromkeys(name for wanted in names.values() for name in wanted)
        lean = lean_copy(self._network, [*every], images, dtype)
        self._dtype = dtype
        for phase, wanted in names.items():
            with self._computing(images.device):
                self._lean[phase] = Tapped(lean.network, [*wanted], images, stops=phase in without_logits)
        return lean

    def remove(self) -> None:
        """Take everything off the network; the reader cannot be called afterwards."""
        self.drop_lean()
        for tapped in self._tapped.values():
            tapped.remove()

    def drop_lean(self) -> None:
        """Read the network itself again."""
        for phase, reader in self._lean.items():
            reader.remove()
            self._compiled.pop(phase, None)
        self._lean = {}

    def _computing(self, device: torch.device) -> AbstractContextManager[Any]:
        """In what the lean copy computes; its cast weights know no other way."""
        is_low = self._dtype != torch.float32
        return torch.autocast(device.type, dtype=self._dtype) if is_low else nullcontext()
