"""Normalised batches of an image set: shuffled and augmented for training, in order for evaluation."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from understudy.data.augment import Augment
from understudy.data.batches.sampling import by_class
from understudy.data.batches.views import Views
from understudy.data.image_set import ImageSet
from understudy.data.seeds import seed_of
from understudy.processes import own_part


class Batches:
    """Training batches. An epoch is a pure function of (seed, epoch number), down to the bit.

    Of several processes (`understudy.processes`) each gets its part of the epoch's batches; `batch_size` is the whole.

    The uint8 images live on `device` and are augmented there; what is drawn for an epoch is drawn at once on
    the processor, so it is the same on every device and no random state has to be saved to resume in its
    middle. `mean` and `std` are in units of 0..255, one a channel. `augment=None` leaves images as they are.

    `views=0` augments every epoch in its own way. With V = 1 or more views, each image has V augmented versions, which
    the epochs show in turn (`Views`); the order is another in every epoch all the same.

    With `epoch_images`, an epoch shows this many images in place of each one once: the set is gone through again and
    again, in another order every time, and the last time only as far as is needed. With `images_per_class`, a batch has
    so many images of each of its classes: of the smaller ones some come again. Without views, an image that comes again
    in an epoch is drawn anew.
    """

    def __init__(
        self,
        image_set: ImageSet,
        *,
        batch_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        augment: Augment | None,
        seed: int,
        device: torch.device | str,
        channels_last: bool = False,
        views: int = 0,
        epoch_images: int | None = None,
        images_per_class: int = 0,
    ) -> None:
        check(len(image_set), image_set.images.shape[1], batch_size, mean, std)
        if augment is not None:
            augment.check(*image_set.images.shape[2:])
        self.epoch_images = epoch_images or len(image_set)
        self.batch_size = min(batch_size, self.epoch_images)
        self._by_class = by_class(image_set.labels, self.batch_size, images_per_class)
        self.augment = augment
        self.seed = seed
        comes_again = self._by_class is not None or self.epoch_images > len(image_set)
        self._views = Views.of(views, is_augmented=augment is not None, comes_again=comes_again)
        self.images = image_set.images.to(device)
        self.labels = image_set.labels.to(device)
        self._mean_C11, self._std_C11 = constants(mean, std, self.images.device)
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._last_drawn: tuple[int, Tensor, list[Tensor] | None] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch's images: the rest of their order is left out, in every epoch another.

        Fewer images than a batch are one batch.
        """
        return self.epoch_images // self.batch_size

    def epoch(self, number: int, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches `first_step`, `first_step + 1`, ... of an epoch: images (B, C, H, W) and labels (B,)."""
        check_step(first_step, self.steps_per_epoch, self.batch_size)
        order, plan = self._drawn(number)
        return self._batches(order, plan, first_step, own_part(self.batch_size))

    def batch(self, number: int, step: int) -> tuple[Tensor, Tensor]:
        """A step of an epoch by itself."""
        return next(self.epoch(number, step))

    def close(self) -> None:
        """Nothing has to be ended; batches of images that worker processes decode have this too."""

    def chosen(self, number: int, step: int) -> Tensor:
        """Which images of the set make up a step of an epoch: their indices (B,), on the processor."""
        order, _ = self._drawn(number)
        return order[step * self.batch_size : (step + 1) * self.batch_size][own_part(self.batch_size)]

    def view(self, number: int) -> int | None:
        """Which view of every image an epoch shows; None where they are drawn anew each time."""
        return self._views.of_epoch(number)

    def in_view(self, view: int) -> Iterator[Tensor]:
        """A view of all images in the set's order, in whole batches (B, C, H, W).

        The last batch is filled up with the first images. Raises ValueError for a view that no epoch shows.
        """
        self._views.check(view)
        num_images = len(self.images)
        num_steps = -(-num_images // self.batch_size)
        order = torch.arange(num_steps * self.batch_size) % num_images
        whole = slice(0, self.batch_size)
        return (images for images, _ in self._batches(order, self._plan_of_view(view, order), 0, whole))

    def _drawn(self, number: int) -> tuple[Tensor, list[Tensor] | None]:
        """An epoch's images in order and what happens to the image at each place of it; the last epoch's is kept."""
        if self._last_drawn is None or self._last_drawn[0] != number:
            shown, generator = order_of_epoch(number, self.seed, len(self.images), self.epoch_images, self._by_class)
            order = shown % len(self.images)
            view = self.view(number)
            if view is not None:
                plan = self._plan_of_view(view, order)
            else:
                assert self.augment is not None
                plan = [*self.augment.plan(len(order), generator)]
            self._last_drawn = number, order, plan
        return self._last_drawn[1:]

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
            images = normalised(images, self._mean_C11, self._std_C11)
            yield images.to(memory_format=self._layout), self.labels[chosen]


def check_step(first_step: int, steps_per_epoch: int, batch_size: int) -> None:
    """ValueError where an epoch of so many steps cannot begin at this one."""
    if not 0 <= first_step <= steps_per_epoch:
        raise ValueError(
            f"an epoch has {steps_per_epoch} steps of {batch_size} images, so it cannot go on at step {first_step}"
        )


def in_order(
    image_set: ImageSet,
    *,
    batch_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    device: torch.device | str,
    channels_last: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once, in order and unaugmented: images (B, C, H, W) and labels (B,).

    The last batch may be smaller.
    """
    check(len(image_set), image_set.images.shape[1], batch_size, mean, std)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    scales = constants(mean, std, torch.device(device))
    pairs = zip(image_set.images.split(batch_size), image_set.labels.split(batch_size), strict=True)
    return (
        (
            normalised(images.to(device), *scales).to(memory_format=layout),
            labels.to(device),
        )
        for images, labels in pairs
    )


def normalised(images: Tensor, mean_C11: Tensor, std_C11: Tensor) -> Tensor:
    """(x - mean) / std in float32."""
    return images.float().sub_(mean_C11).div_(std_C11)


def constants(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Both as (C, 1, 1) in float32."""
    mean_C = torch.tensor(mean, dtype=torch.float32, device=device)
    std_C = torch.tensor(std, dtype=torch.float32, device=device)
    return mean_C[:, None, None], std_C[:, None, None]


class Order(Protocol):
    """What an epoch shows where it is not all images shuffled."""

    def order(self, num_images: int, generator: torch.Generator) -> Tensor:
        """So many images, numbered as `order_of_epoch` does."""
        ...


def order_of_epoch(
    number: int, seed: int, num_images: int, epoch_images: int, chosen: Order | None = None
) -> tuple[Tensor, torch.Generator]:
    """What an epoch shows, in its order (epoch_images,), and the generator for whatever else is drawn for it.

    Image i of N is i the first time that the set is gone through, i + N the second time, i + 2 N the third.
    """
    generator = torch.Generator().manual_seed(seed_of("epoch", number, "of seed", seed))
    if chosen is not None:
        return chosen.order(epoch_images, generator), generator
    times = range(-(-epoch_images // num_images))
    orders = [torch.randperm(num_images, generator=generator) + time * num_images for time in times]
    return torch.cat(orders)[:epoch_images], generator


def check(num_images: int, channels: int, batch_size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """ValueError where batches of such images cannot be made."""
    if num_images == 0:
        raise ValueError("there are no images to make batches of")
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, found {batch_size}")
    if len(mean) != channels or len(std) != channels:
        raise ValueError(
            f"mean and std need one entry for each of the {channels} channels, found {len(mean)} and {len(std)}"
        )
    if min(std) <= 0:
        raise ValueError(f"std must be above 0 in every channel, found {std}")
