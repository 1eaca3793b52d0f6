"""What the checks look at: a plan, its networks on their device, and a few images."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from understudy.data import ImageSet
from understudy.distiller import Distiller
from understudy.engine.plan import Plan
from understudy.precision import Precision


@dataclass(frozen=True, kw_only=True)
class Case:
    """`images` and `labels` are the first of the run's training images, augmented and normalised, on the device;
    `test` are some test images as bytes, None where they have boxes. `batch_size` is the run's own, no
    more than there are images.
    """

    plan: Plan
    precision: Precision
    distiller: Distiller
    images: Tensor
    labels: Any
    test: ImageSet | None
    batch_size: int

    def phases(self) -> Iterator[int]:
        """Each phase's number, with the distiller at its start."""
        for index in range(len(self.plan.method.phases)):
            self.distiller.enter(index)
            self.distiller.at(0.0, 0.0)
            yield index
