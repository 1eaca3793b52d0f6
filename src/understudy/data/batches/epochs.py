"""Which images the steps of an epoch show, in which order and in which of their views."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from understudy.data.batches.sampling import by_class
from understudy.data.batches.views import Views
from understudy.data.seeds import seed_of
from understudy.processes import own_part


@dataclass(frozen=True, kw_only=True)
class Showing:
    """How a set is shown.

    `views=0` augments every epoch in its own way. With V = 1 or more views, each image has V augmented versions, which
    the epochs show in turn (`Views`); the order is another in every epoch all the same.

    With `epoch_images`, an epoch shows this many images in place of each one once: the set is gone through again and
    again, in another order every time, and the last time only as far as is needed. With `images_per_class`, a batch has
    so many images of each of its classes: of the smaller ones some come again. Without views, an image that comes again
    in an epoch is drawn anew.
    """

    batch_size: int
    seed: int
    views: int = 0
    epoch_images: int | None = None
    images_per_class: int = 0


class Order(Protocol):
    """What an epoch shows where it is not all images shuffled."""

    def order(self, num_images: int, generator: torch.Generator) -> Tensor:
        """So many images; image i of N is i the first time that it is shown, i + N the second time."""
        ...


def check_batches(num_images: int, batch_size: int) -> None:
    """ValueError where there are none to be made."""
    if num_images == 0:
        raise ValueError("there are no images to make batches of")
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, found {batch_size}")


class Epochs:
    """The epochs of a set of `num_images`: each a pure function of (seed, its number), down to the bit.

    Of several processes (`understudy.processes`) each gets its part of every batch. `labels` (N,) are needed for
    batches by class alone; `usual`, given the size of a batch, answers the order of a set that is not simply shuffled.
    Raises ValueError for batches that cannot be made.
    """

    def __init__(
        self,
        showing: Showing,
        num_images: int,
        *,
        is_augmented: bool,
        labels: Tensor | None = None,
        usual: Callable[[int], Order | None] = lambda batch_size: None,
    ):
        check_batches(num_images, showing.batch_size)
        self.num_images = num_images
        self.seed = showing.seed
        self.epoch_images = showing.epoch_images or num_images
        self.batch_size = min(showing.batch_size, self.epoch_images)
        classes = None if labels is None else by_class(labels, self.batch_size, showing.images_per_class)
        self._order = classes or usual(self.batch_size)
        comes_again = classes is not None or self.epoch_images > num_images
        self._views = Views.of(showing.views, is_augmented=is_augmented, comes_again=comes_again)
        self._last: tuple[int, Tensor, Tensor] | None = None

    @property
    def steps(self) -> int:
        """Whole batches in an epoch's images: the rest of their order is left out, in every epoch another.

        Fewer images than a batch are one batch.
        """
        return self.epoch_images // self.batch_size

    def check_step(self, first: int) -> None:
        """ValueError where an epoch cannot begin at this step."""
        if not 0 <= first <= self.steps:
            raise ValueError(
                f"an epoch has {self.steps} steps of {self.batch_size} images, so it cannot go on at step {first}"
            )

    def drawn(self, number: int) -> tuple[Tensor, torch.Generator]:
        """What an epoch shows, in its order (epoch_images,), and the generator for whatever else is drawn for it.

        Image i of N is i the first time that the set is gone through, i + N the second time, i + 2 N the third.
        """
        generator = torch.Generator()
        if self._last is None or self._last[0] != number:
            generator.manual_seed(seed_of("epoch", number, "of seed", self.seed))
            order = (
                self._shuffled(generator) if self._order is None else self._order.order(self.epoch_images, generator)
            )
            self._last = number, order, generator.get_state()
        _, order, state = self._last
        generator.set_state(state)
        return order, generator

    def _shuffled(self, generator: torch.Generator) -> Tensor:
        count = self.num_images
        times = range(-(-self.epoch_images // count))
        return torch.cat([torch.randperm(count, generator=generator) + time * count for time in times])[
            : self.epoch_images
        ]

    def shown(self, number: int, step: int) -> Tensor:
        """What a step shows this process, as `drawn` counts: an image's second time is told from its first."""
        order, _ = self.drawn(number)
        return order[step * self.batch_size : (step + 1) * self.batch_size][own_part(self.batch_size)]

    def chosen(self, number: int, step: int) -> Tensor:
        """Which images of the set make up a step of an epoch: their indices (B,), on the processor."""
        return self.shown(number, step) % self.num_images

    def view(self, number: int) -> int | None:
        """Which view of every image an epoch shows; None where they are drawn anew each time."""
        return self._views.of_epoch(number)

    def whole_set(self, view: int) -> Tensor:
        """All images in the set's order, in whole batches: the last one is filled up with the first images.

        Raises ValueError for a view that no epoch shows.
        """
        self._views.check(view)
        return torch.arange(-(-self.num_images // self.batch_size) * self.batch_size) % self.num_images
