"""Batches of images with boxes that are decoded when they are asked for."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from understudy.data.batches.decoded import DecodedBatches, decoded_in_order
from understudy.data.batches.decoding import Decoding, Key
from understudy.data.batches.epochs import Epochs, Showing, check_batches
from understudy.data.batches.scale import Scale
from understudy.data.boxed_images import BoxedImages
from understudy.data.fit import Fit, square
from understudy.data.parquet.by_group import by_group
from understudy.data.seeds import seed_of

CHANNELS = 3
# boxes (N, 4) in the pixels of the batch, labels (N,), difficult (N,), and the image's own height and width there (2,).
Target = dict[str, Tensor]


def boxed_batches(
    files: BoxedImages, showing: Showing, scale: Scale, fit: Fit, *, augment: bool, workers: int = 0
) -> DecodedBatches:
    """What `file_batches` is for images with labels. Difficult objects are left out.

    Images (B, 3, size, size) lie in the upper left of a square that is 0 elsewhere; in place of labels comes a list of
    targets.
    """
    epochs = Epochs(
        showing,
        len(files),
        is_augmented=augment,
        usual=lambda batch_size: by_group(files.source, files.rows, batch_size),
    )
    decoder = BoxedDecoder(files, fit, keeps_difficult=False)
    decoding = Decoding(decoder, workers=workers, pin=scale.is_on_cuda)
    return DecodedBatches(epochs, decoding, _Finishing(scale), fit if augment else None)


def boxed_in_order(
    files: BoxedImages, scale: Scale, fit: Fit, *, batch_size: int, workers: int = 0
) -> Iterator[tuple[Tensor, list[Target]]]:
    """Every image once, in order, fitted and with all its objects. The last batch may be smaller."""
    check_batches(len(files), batch_size)
    finish, decoder = _Finishing(scale), BoxedDecoder(files, fit, keeps_difficult=True)
    return decoded_in_order(len(files), decoder, finish, batch_size=batch_size, workers=workers, pin=scale.is_on_cuda)


class BoxedDecoder:
    """What a process does for a key: the batch in uint8 with its targets, or what is wrong in words."""

    def __init__(self, files: BoxedImages, fit: Fit, *, keeps_difficult: bool):
        fit.prepare()
        self.files = files
        self.fit = fit
        self.side = fit.size
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
        # A box without an extent makes torchvision's detectors take every anchor of the image for an object.
        objects = objects.clipped(*image.size)
        if seed is None:
            pixels, boxes = self.fit.plain(image, objects)
        else:
            pixels, boxes = self.fit.random(image, objects, seed)
        size = torch.tensor(pixels.shape[1:])
        return pixels, {"boxes": boxes, "labels": objects.labels, "difficult": objects.difficult, "size": size}


class _Finishing:
    """A decoded batch on the device: normalised, and 0 again where there is no image."""

    def __init__(self, scale: Scale):
        scale.check(CHANNELS)
        self._scale = scale

    def __call__(self, found: Any, indices: Tensor) -> tuple[Tensor, list[Target]]:
        pixels, targets = found
        images = self._scale(pixels)
        for image, target in zip(images, targets, strict=True):
            height, width = target["size"].tolist()
            image[:, height:] = 0.0
            image[:, :, width:] = 0.0
        # The sizes stay on the processor: they are asked for as numbers.
        device = self._scale.device
        there = [
            {key: value if key == "size" else value.to(device, non_blocking=True) for key, value in target.items()}
            for target in targets
        ]
        return images, there
