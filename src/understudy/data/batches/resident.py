"""Batches of an image set in memory: shuffled and augmented for training, in order for evaluation."""

from collections.abc import Iterator

import torch
from torch import Tensor

from understudy.data.augment import Augment
from understudy.data.batches.epochs import Epochs, Showing, check_batches
from understudy.data.batches.scale import Scale
from understudy.data.image_set import ImageSet
from understudy.data.seeds import seed_of
from understudy.processes import own_part


class Batches:
    """Training batches; an epoch is a pure function of (seed, epoch number), down to the bit.

    Of several processes (`understudy.processes`) each gets its part of the epoch's batches; `batch_size` is the whole.

    The uint8 images live on the scale's device and are augmented there; what is drawn for an epoch is drawn at once on
    the processor, so it is the same on every device and no random state has to be saved to resume in its middle.
    `augment=None` leaves images as they are.
    """

    def __init__(self, image_set: ImageSet, showing: Showing, scale: Scale, augment: Augment | None) -> None:
        self._epochs = Epochs(showing, len(image_set), is_augmented=augment is not None, labels=image_set.labels)
        scale.check(image_set.images.shape[1])
        if augment is not None:
            augment.check(*image_set.images.shape[2:])
        self.seed = showing.seed
        self.batch_size = self._epochs.batch_size
        self.augment = augment
        self.images = image_set.images.to(scale.device)
        self.labels = image_set.labels.to(scale.device)
        self._scale = scale
        self._last_plan: tuple[int, list[Tensor] | None] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch's images."""
        return self._epochs.steps

    def epoch(self, number: int, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches `first_step`, `first_step + 1`, ... of an epoch: images (B, C, H, W) and labels (B,)."""
        self._epochs.check_step(first_step)
        order = self._epochs.drawn(number)[0] % len(self.images)
        return self._batches(order, self._plan(number, order), first_step, own_part(self.batch_size))

    def batch(self, number: int, step: int) -> tuple[Tensor, Tensor]:
        """A step of an epoch by itself."""
        return next(self.epoch(number, step))

    def close(self) -> None:
        """Nothing has to be ended; batches of images that worker processes decode have this too."""

    def chosen(self, number: int, step: int) -> Tensor:
        """Which images of the set make up a step of an epoch: their indices (B,), on the processor."""
        return self._epochs.chosen(number, step)

    def view(self, number: int) -> int | None:
        """Which view of every image an epoch shows; None where they are drawn anew each time."""
        return self._epochs.view(number)

    def in_view(self, view: int) -> Iterator[Tensor]:
        """A view of all images in the set's order, in whole batches (B, C, H, W).

        The last batch is filled up with the first images. Raises ValueError for a view that no epoch shows.
        """
        order, whole = self._epochs.whole_set(view), slice(0, self.batch_size)
        return (images for images, _ in self._batches(order, self._plan_of_view(view, order), 0, whole))

    def _plan(self, number: int, order: Tensor) -> list[Tensor] | None:
        """What happens to the image at each place of an epoch's order; the last epoch's is kept."""
        if self._last_plan is None or self._last_plan[0] != number:
            self._last_plan = number, self._drawn_plan(number, order)
        return self._last_plan[1]

    def _drawn_plan(self, number: int, order: Tensor) -> list[Tensor] | None:
        view = self.view(number)
        if view is not None:
            return self._plan_of_view(view, order)
        assert self.augment is not None
        return [*self.augment.plan(len(order), self._epochs.drawn(number)[1])]

    def _plan_of_view(self, view: int, order: Tensor) -> list[Tensor] | None:
        """What the view does to the images at these indices; None where there is no augmentation."""
        if self.augment is None:
            return None
        generator = torch.Generator().manual_seed(seed_of("view", view, "of seed", self.seed))
        return [drawn[order] for drawn in self.augment.plan(len(self.images), generator)]

    def _batches(
        self, order: Tensor, plan: list[Tensor] | None, first_step: int, part: slice
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Of the images at these indices of the set, in whole batches, this part of each batch."""
        device = self.images.device
        order, plan = order.to(device), plan and [drawn.to(device) for drawn in plan]
        for step in range(first_step, len(order) // self.batch_size):
            rows = slice(step * self.batch_size + part.start, step * self.batch_size + part.stop)
            chosen = order[rows]
            images = self.images[chosen]
            if self.augment is not None and plan is not None:
                images = self.augment.apply(images, *(drawn[rows] for drawn in plan))
            yield self._scale(images), self.labels[chosen]


def in_order(image_set: ImageSet, scale: Scale, *, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once, in order and unaugmented: images (B, C, H, W) and labels (B,).

    The last batch may be smaller.
    """
    check_batches(len(image_set), batch_size)
    scale.check(image_set.images.shape[1])
    pairs = zip(image_set.images.split(batch_size), image_set.labels.split(batch_size), strict=True)
    return ((scale(images), labels.to(scale.device)) for images, labels in pairs)
