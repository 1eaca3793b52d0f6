"""The teacher as the phases of a method read it: frozen, in the method's mode, from a lean copy where there is one."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from understudy.distiller.comparisons import Site
from understudy.distiller.reading import Reader, positions_read
from understudy.methods import LOGITS, Method, Phase
from understudy.modes import set_teacher_mode, tensors_of
from understudy.taps import Lean

# Teacher -> who put it into the mode it is in: distillers of several methods may share one.
_mode_is_of: WeakKeyDictionary[nn.Module, "ReferenceType[TeacherSide]"] = WeakKeyDictionary()


class TeacherSide:
    """Called with a phase's index and images: the teacher's logits and the features that the phase compares."""

    def __init__(self, teacher: nn.Module, method: Method, sites: Mapping[str, Sequence[Site]], images: Tensor):
        self._teacher = teacher
        self._method = method
        self._names = {
            index: positions_read(phase, sites, lambda site: site.teacher) for index, phase in enumerate(method.phases)
        }
        self._without_logits = [index for index, phase in enumerate(method.phases) if not _needs_logits(phase, sites)]
        self._reader = Reader(teacher, self._names, images)

    def __call__(self, phase_index: int, images: Tensor) -> dict[str, Tensor]:
        phase = self._method.phases[phase_index]
        if not (phase.terms or phase.guides):
            return {}
        with torch.set_grad_enabled(images.requires_grad and torch.is_grad_enabled()):
            return self._reader(phase_index, images)

    def train(self, mode: bool) -> None:
        """The mode that the method declares for training, evaluation otherwise."""
        set_teacher_mode(self._teacher, self._method.teacher_mode if mode else "eval")
        _mode_is_of[self._teacher] = ref(self)

    def keep_mode(self, mode: bool) -> None:
        """As `train`, where another one has put the teacher into its own mode since."""
        last = _mode_is_of.get(self._teacher)
        if last is None or last() is not self:
            self.train(mode)

    def make_lean(self, images: Tensor, dtype: torch.dtype) -> Lean | None:
        """Read from a lean copy; None where it may not be folded."""
        self._reader.drop_lean()
        if self._method.teacher_mode != "eval":
            return None
        set_teacher_mode(self._teacher, "eval")
        phases = [index for index, phase in enumerate(self._method.phases) if phase.terms + phase.guides]
        names = {index: self._names[index] for index in phases}
        return self._reader.make_lean(names, self._without_logits, images, dtype)

    def drop_lean(self) -> None:
        """Read the teacher itself again."""
        self._reader.drop_lean()

    def compile(self, phase_index: int, **options: Any) -> None:
        """Read compiled in this phase from now on, with torch.compile's options."""
        self._reader.compile(phase_index, **options)

    def uncompiled(self) -> AbstractContextManager[None]:
        """A stretch in which nothing runs compiled."""
        return self._reader.uncompiled()

    def remove(self) -> None:
        """Take everything off the teacher, and leave it in evaluation mode; its BatchNorms track again when trained."""
        self._reader.remove()
        set_teacher_mode(self._teacher, "eval")
        _mode_is_of.pop(self._teacher, None)


def _needs_logits(phase: Phase, sites: Mapping[str, Sequence[Site]]) -> bool:
    is_compared = any(site.teacher.name == LOGITS for term in phase.terms + phase.guides for site in sites[term.name])
    return is_compared or any(term.inputs is not None for term in phase.terms)


def freeze_teacher(teacher: nn.Module) -> None:
    """No gradient at its weights. ValueError for NaN among them: signs and unit vectors of it would look like any."""
    teacher.requires_grad_(False)
    refuse_nan("teacher", teacher)


def refuse_nan(whose: str, network: nn.Module) -> None:
    """ValueError for NaN among the weights of a network that is to teach or to begin with them."""
    for name, tensor in tensors_of(network).items():
        if tensor.is_floating_point() and bool(tensor.isnan().any()):
            raise ValueError(f"the {whose}'s {name} holds NaN; give weights of a training that did not diverge")
