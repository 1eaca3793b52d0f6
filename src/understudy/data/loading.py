"""Batches of a data set's images, whichever way they are read."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from understudy.data.augment import Augment
from understudy.data.batches.boxed import boxed_batches, boxed_in_order
from understudy.data.batches.decoded import DecodedBatches
from understudy.data.batches.epochs import Showing
from understudy.data.batches.files import file_batches, files_in_order
from understudy.data.batches.resident import Batches, in_order
from understudy.data.batches.scale import Scale
from understudy.data.boxed_images import BoxedImages
from understudy.data.choose import WORKERS_SIZE
from understudy.data.crops import Crops
from understudy.data.fit import Fit
from understudy.data.image_files import ImageFiles
from understudy.data.image_set import Dataset, Images

# Batches to train on, of images of any kind.
TrainingBatches = Batches | DecodedBatches
MEASURED_IMAGES = 128  # in a batch that is only measured


def training_batches(
    data: Dataset,
    *,
    batch_size: int,
    seed: int,
    device: torch.device | str,
    augment: bool = True,
    channels_last: bool = False,
    views: int = 0,
    epoch_images: int | None = None,
    images_per_class: int = 0,
) -> TrainingBatches:
    """Shuffled batches of the training images, augmented as is usual for the set or not at all.

    With `images_per_class`, so many images of each of a batch's classes.
    """
    showing = Showing(
        batch_size=batch_size, seed=seed, views=views, epoch_images=epoch_images, images_per_class=images_per_class
    )
    scale = Scale(mean=data.mean, std=data.std, device=device, channels_last=channels_last)
    if isinstance(data.train, BoxedImages):
        assert isinstance(data.augment, Fit)
        return boxed_batches(data.train, showing, scale, data.augment, augment=augment, workers=data.workers)
    if isinstance(data.train, ImageFiles):
        assert isinstance(data.augment, Crops)
        return file_batches(data.train, showing, scale, data.augment, augment=augment, workers=data.workers)
    assert isinstance(data.augment, Augment)
    return Batches(data.train, showing, scale, data.augment if augment else None)


def batches_in_order(
    images: Images,
    data: Dataset,
    *,
    batch_size: int | None = None,
    device: torch.device | str,
    channels_last: bool = False,
) -> Iterator[tuple[Tensor, Any]]:
    """Images of the set once, in order and as they are measured: images (B, C, H, W) and labels (B,), or targets.

    Without a `batch_size` of 128, or as many fewer as they are larger than 224x224.
    """
    if batch_size is None:
        _, height, width = data.image_shape
        batch_size = max(1, min(MEASURED_IMAGES, MEASURED_IMAGES * WORKERS_SIZE**2 // (height * width)))
    scale = Scale(mean=data.mean, std=data.std, device=device, channels_last=channels_last)
    if isinstance(images, BoxedImages):
        assert isinstance(data.augment, Fit)
        return boxed_in_order(images, scale, data.augment, batch_size=batch_size, workers=data.workers)
    if isinstance(images, ImageFiles):
        assert isinstance(data.augment, Crops)
        return files_in_order(images, scale, data.augment, batch_size=batch_size, workers=data.workers)
    return in_order(images, scale, batch_size=batch_size)
