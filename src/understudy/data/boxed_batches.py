"""Normalised batches of images with boxes: what `FileBatches` is for images with labels."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from understudy.data.batches import check, check_step, check_view, constants, normalised, order_of_epoch, view_of_epoch
from understudy.data.boxed_images import BoxedImages
from understudy.data.decoding import Decoding, Key
from understudy.data.fit import Fit, square
from understudy.data.seeds import seed_of

CHANNELS = 3
# boxes (N, 4) in the pixels of the batch, labels (N,), difficult (N,), and the image's own height and width there (2,).
Target = dict[str, Tensor]


class BoxedBatches:
    """Training batches. What is shown of image i in epoch e is a pure function of (seed, e, i), down to the bit.

    Images (B, 3, size, size) lie in the upper left of a square that is 0 elsewhere; in place of labels comes a list of
    targets. Difficult objects are left out of them. The rest is as `FileBatches` has it.
    """

    def __init__(
        self,
        files: BoxedImages,
        *,
        batch_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        fit: Fit,
        augment: bool,
        seed: int,
        device: torch.device | str,
        channels_last: bool = False,
        views: int = 0,
        workers: int = 0,
        epoch_images: int | None = None,
    ) -> None:
        check(len(files), CHANNELS, batch_size, mean, std)
        if views < 0:
            raise ValueError(f"views must be 0 (every epoch anew) or more, found {views}")
        self.epoch_images = epoch_images or len(files)
        self.batch_size = min(batch_size, self.epoch_images)
        self.augment = fit if augment else None
        self.seed = seed
        self.views = views
        self._num_images = len(files)
        self._finish = _Finishing(mean, std, device, channels_last)
        decoder = BoxedDecoder(files, fit, keeps_difficult=False)
        self._decoding = Decoding(decoder, workers=workers, pin=self._finish.device.type == "cuda")
        self._last_order: tuple[int, Tensor] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch's images, as of images in memory."""
        return self.epoch_images // self.batch_size

    def epoch(self, number: int, first_step: int = 0) -> Iterator[tuple[Tensor, list[Target]]]:
        """Batches `first_step`, `first_step + 1`, ... of an epoch. One epoch or view at a time, as of files."""
        check_step(first_step, self.steps_per_epoch, self.batch_size)
        keys = [self._key(number, step) for step in range(first_step, self.steps_per_epoch)]
        return (self._finish(found) for found in self._decoding.read(keys))

    def batch(self, number: int, step: int) -> tuple[Tensor, list[Target]]:
        """A step of an epoch by itself; an epoch that is being read goes on undisturbed."""
        return self._finish(self._decoding.one(self._key(number, step)))

    def chosen(self, number: int, step: int) -> Tensor:
        """Which images of the set make up a step of an epoch: their indices (B,), on the processor."""
        return self._shown(number, step) % self._num_images

    def view(self, number: int) -> int | None:
        """Which view of every image an epoch shows, 0 where there is no augmentation; None where it is drawn anew."""
        return view_of_epoch(number, self.views if self.augment is not None else 1)

    def in_view(self, view: int) -> Iterator[Tensor]:
        """A view of all images in the set's order, in whole batches; the last one is filled up with the first images.

        Raises ValueError for a view that no epoch shows.
        """
        check_view(view, self.views if self.augment is not None else 1)
        order = torch.arange(-(-self._num_images // self.batch_size) * self.batch_size) % self._num_images
        keys = [(indices, self._drawn_for(view, 0)) for indices in order.split(self.batch_size)]
        return (self._finish(found)[0] for found in self._decoding.read(keys))

    def close(self) -> None:
        """End the processes."""
        self._decoding.close()

    def _shown(self, number: int, step: int) -> Tensor:
        """What a step shows, as `order_of_epoch` counts: an image's second time in an epoch is told from its first."""
        if self._last_order is None or self._last_order[0] != number:
            order, _ = order_of_epoch(number, self.seed, self._num_images, self.epoch_images)
            self._last_order = number, order
        return self._last_order[1][step * self.batch_size : (step + 1) * self.batch_size]

    def _key(self, number: int, step: int) -> Key:
        view = self.view(number)
        shown = self._shown(number, step) if view is None else self.chosen(number, step)
        return shown, self._drawn_for(view, number)

    def _drawn_for(self, view: int | None, number: int) -> str | None:
        """From which words the flips follow."""
        if self.augment is None:
            return None
        return f"{f'epoch {number}' if view is None else f'view {view}'} of seed {self.seed}"


def boxed_in_order(
    files: BoxedImages,
    *,
    batch_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    fit: Fit,
    device: torch.device | str,
    channels_last: bool = False,
    workers: int = 0,
) -> Iterator[tuple[Tensor, list[Target]]]:
    """Every image once, in order, fitted and with all its objects. The last batch may be smaller."""
    check(len(files), CHANNELS, batch_size, mean, std)
    finish = _Finishing(mean, std, device, channels_last)
    keys: list[Key] = [(indices, None) for indices in torch.arange(len(files)).split(batch_size)]
    decoder = BoxedDecoder(files, fit, keeps_difficult=True)
    decoding = Decoding(decoder, workers=min(workers, len(keys)), pin=finish.device.type == "cuda")

    def batches() -> Iterator[tuple[Tensor, list[Target]]]:
        try:
            yield from map(finish, decoding.read(keys))
        finally:
            decoding.close()

    return batches()


class BoxedDecoder:
    """What a process does for a key: the batch in uint8 with its targets, or what is wrong in words."""

    def __init__(self, files: BoxedImages, fit: Fit, *, keeps_difficult: bool):
        fit.prepare()
        self.files = files
        self.fit = fit
        self.keeps_difficult = keeps_difficult

    def __getitem__(self, key: Key) -> tuple[Tensor, list[Target]] | str:
        indices, drawn = key
        images, targets = [], []
        for index in indices.tolist():
            try:
                image, target = self._shown(index, drawn)
            except ValueError as error:
                return str(error)
            except OSError as error:
                return f"{self.files.name(index % len(self.files))} cannot be read ({error})"
            images.append(image)
            targets.append(target)
        return square(images, self.fit.size), targets

    def _shown(self, index: int, drawn: str | None) -> tuple[Tensor, Target]:
        seed = None if drawn is None else seed_of(drawn, "image", index)
        index = index % len(self.files)
        objects = self.files.objects[index]
        if not self.keeps_difficult:
            objects = objects.kept(~objects.difficult)
        image = self.files.read(index)
        if seed is None:
            pixels, boxes = self.fit.plain(image, objects)
        else:
            pixels, boxes = self.fit.random(image, objects, seed)
        size = torch.tensor(pixels.shape[1:])
        return pixels, {"boxes": boxes, "labels": objects.labels, "difficult": objects.difficult, "size": size}


class _Finishing:
    """A decoded batch on the device: normalised, and 0 again where there is no image."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device | str, channels_last: bool):
        self.device = torch.device(device)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self._constants = constants(tuple(mean), tuple(std), self.device)

    def __call__(self, found: Any) -> tuple[Tensor, list[Target]]:
        pixels, targets = found
        images = normalised(pixels.to(self.device, non_blocking=True), *self._constants)
        for image, target in zip(images, targets, strict=True):
            height, width = target["size"].tolist()
            image[:, height:] = 0.0
            image[:, :, width:] = 0.0
        # The sizes stay on the processor: they are asked for as numbers.
        there = [{key: value if key == "size" else value.to(self.device) for key, value in t.items()} for t in targets]
        return images.to(memory_format=self.layout), there
