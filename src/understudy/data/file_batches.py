"""Normalised batches of images that are decoded when they are asked for: what `Batches` is for images in memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from understudy.data.batches import (
    check,
    check_step,
    check_view,
    constants,
    normalised,
    order_of_epoch,
    view_of_epoch,
)
from understudy.data.crops import Crops
from understudy.data.decoding import CropDecoder, Decoding, Key
from understudy.data.image_files import ImageFiles
from understudy.data.sampling import by_class

CHANNELS = 3


class FileBatches:
    """Training batches. What is shown of image i in epoch e is a pure function of (seed, e, i), down to the bit.

    With `views` = V, of (seed, (e - 1) mod V, i). With `epoch_images` an epoch shows this many images, as `Batches`
    does, and so with `images_per_class`; without views an image is then cropped anew each time that an epoch shows it.
    The number of `workers`, how far they are ahead and where an epoch is entered change nothing. `augment=False` shows
    the middle of the images. `mean` and `std` are in units of 0..255.
    """

    def __init__(
        self,
        files: ImageFiles,
        *,
        batch_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        crops: Crops,
        augment: bool,
        seed: int,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
        views: int = 0,
        workers: int = 0,
        epoch_images: int | None = None,
        images_per_class: int = 0,
    ) -> None:
        check(len(files), CHANNELS, batch_size, mean, std)
        if views < 0:
            raise ValueError(f"views must be 0 (every epoch anew) or more, found {views}")
        self.epoch_images = epoch_images or len(files)
        self.batch_size = min(batch_size, self.epoch_images)
        self._by_class = by_class(files.labels, self.batch_size, images_per_class)
        self.augment = crops if augment else None
        self.seed = seed
        self.views = views
        self._device = torch.device(device)
        self.labels = files.labels.to(self._device)
        self._constants = constants(mean, std, self._device)
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._dtype = dtype
        self._decoding = Decoding(CropDecoder(files, crops), workers=workers, pin=self._device.type == "cuda")
        self._last_order: tuple[int, Tensor] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch's images, as of images in memory."""
        return self.epoch_images // self.batch_size

    def epoch(self, number: int, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches `first_step`, `first_step + 1`, ... of an epoch: images (B, C, H, W) and labels (B,).

        One epoch or view at a time: beginning another ends this one.
        """
        check_step(first_step, self.steps_per_epoch, self.batch_size)
        return self._batches([self._key(number, step) for step in range(first_step, self.steps_per_epoch)])

    def batch(self, number: int, step: int) -> tuple[Tensor, Tensor]:
        """A step of an epoch by itself; an epoch that is being read goes on undisturbed."""
        key = self._key(number, step)
        return self._finished(self._decoding.one(key)), self._labels(key)

    def chosen(self, number: int, step: int) -> Tensor:
        """Which images of the set make up a step of an epoch: their indices (B,), on the processor."""
        return self._shown(number, step) % len(self.labels)

    def view(self, number: int) -> int | None:
        """Which view of every image an epoch shows, 0 where there is no augmentation; None where it is drawn anew."""
        return view_of_epoch(number, self.views if self.augment is not None else 1)

    def in_view(self, view: int) -> Iterator[Tensor]:
        """A view of all images in the set's order, in whole batches (B, C, H, W).

        The last batch is filled up with the first images. Raises ValueError for a view that no epoch shows.
        """
        check_view(view, self.views if self.augment is not None else 1)
        num_images = len(self.labels)
        order = torch.arange(-(-num_images // self.batch_size) * self.batch_size) % num_images
        keys = [(indices, self._drawn_for(view, 0)) for indices in order.split(self.batch_size)]
        return (images for images, _ in self._batches(keys))

    def close(self) -> None:
        """End the processes."""
        self._decoding.close()

    def _shown(self, number: int, step: int) -> Tensor:
        """What a step shows, as `order_of_epoch` counts: an image's second time in an epoch is told from its first."""
        if self._last_order is None or self._last_order[0] != number:
            order, _ = order_of_epoch(number, self.seed, len(self.labels), self.epoch_images, self._by_class)
            self._last_order = number, order
        return self._last_order[1][step * self.batch_size : (step + 1) * self.batch_size]

    def _key(self, number: int, step: int) -> Key:
        view = self.view(number)
        shown = self._shown(number, step) if view is None else self.chosen(number, step)
        return shown, self._drawn_for(view, number)

    def _drawn_for(self, view: int | None, number: int) -> str | None:
        """From which words the crops follow."""
        if self.augment is None:
            return None
        what = f"epoch {number}" if view is None else f"view {view}"
        return f"{what} of seed {self.seed}"

    def _batches(self, keys: list[Key]) -> Iterator[tuple[Tensor, Tensor]]:
        for key, images in zip(keys, self._decoding.read(keys), strict=True):
            yield self._finished(images), self._labels(key)

    def _labels(self, key: Key) -> Tensor:
        return self.labels[(key[0] % len(self.labels)).to(self._device)]

    def _finished(self, images: Tensor) -> Tensor:
        images = normalised(images.to(self._device, non_blocking=True), *self._constants)
        return images.to(dtype=self._dtype, memory_format=self._layout)


def files_in_order(
    files: ImageFiles,
    *,
    batch_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    crops: Crops,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    workers: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The middle of every image once, in order: images (B, C, H, W) and labels (B,). The last batch may be smaller."""
    check(len(files), CHANNELS, batch_size, mean, std)
    device = torch.device(device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    keys: list[Key] = [(indices, None) for indices in torch.arange(len(files)).split(batch_size)]
    # No more processes than batches.
    decoding = Decoding(CropDecoder(files, crops), workers=min(workers, len(keys)), pin=device.type == "cuda")
    scales = constants(mean, std, device)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        try:
            for images, labels in zip(decoding.read(keys), files.labels.split(batch_size), strict=True):
                images = normalised(images.to(device, non_blocking=True), *scales)
                yield images.to(dtype=dtype, memory_format=layout), labels.to(device)
        finally:
            decoding.close()

    return batches()
