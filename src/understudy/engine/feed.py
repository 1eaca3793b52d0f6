"""What each step is given: images, labels, which of them terms look at, and what the teacher's store knows of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from understudy.data import Mixing, TrainingBatches
from understudy.distiller import Wanted
from understudy.engine.measure.pull import Batch
from understudy.engine.teacher_cache.cache import TeacherCache

# Images, labels, which images the terms that select look at, and the teacher's side; the last two may be None.
Given = tuple[Tensor, Any, Tensor | None, Wanted | None]


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The batches with all that goes with them.

    `mixing` mixes what they show. `keep` (N,) says which training images the terms that select look at, None for all.
    `cache` has the teacher's answers, where the run stores them.
    """

    batches: TrainingBatches
    mixing: Mixing
    keep: Tensor | None
    cache: TeacherCache | None

    def steps(self, epoch: int, first_step: int) -> Iterator[Given]:
        """What the epoch's steps are given, from this one on."""
        for step, batch in enumerate(self.batches.epoch(epoch, first_step), first_step):
            images, labels = self.mixing(*batch, epoch, step)
            yield images, labels, self._kept(epoch, step), self._known(epoch, step)

    def batch(self, epoch: int, step: int) -> Batch:
        """The same of one step, for looking at it; the teacher answers itself."""
        images, labels = self.mixing(*self.batches.batch(epoch, step), epoch, step)
        return images, labels, self._kept(epoch, step)

    def open(self, epoch: int, between: Callable[[], None]) -> bool:
        """Have the teacher's answers to the epoch ready, calling `between` now and then; whether any are stored."""
        view = self.batches.view(epoch)
        if self.cache is None or view is None:
            return False
        self.cache.open(view, between=between)
        return True

    @property
    def is_stored(self) -> bool:
        """Whether the teacher's answers come from the store now."""
        return self.cache is not None and self.cache.serves()

    def _kept(self, epoch: int, step: int) -> Tensor | None:
        if self.keep is None:
            return None
        return self.keep[self.batches.chosen(epoch, step).to(self.keep.device, non_blocking=True)]

    def _known(self, epoch: int, step: int) -> Wanted | None:
        view = self.batches.view(epoch)
        if self.cache is None or view is None:
            return None
        return self.cache.rows(view, self.batches.chosen(epoch, step))
