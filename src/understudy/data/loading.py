"""Batches of a data set's images, whichever way they are read."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from understudy.data.augment import Augment
from understudy.data.batches.boxed import BoxedBatches, boxed_in_order
from understudy.data.batches.files import FileBatches, files_in_order
from understudy.data.batches.resident import Batches, in_order
from understudy.data.boxed_images import BoxedImages
from understudy.data.choose import WORKERS_SIZE
from understudy.data.crops import Crops
from understudy.data.fit import Fit
from understudy.data.image_files import ImageFiles
from understudy.data.image_set import Dataset, Images

# Batches to train on, of images of any kind.
TrainingBatches = Batches | FileBatches | BoxedBatches
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
    if isinstance(data.train, BoxedImages):
        assert isinstance(data.augment, Fit)
        return BoxedBatches(
            data.train,
            batch_size=batch_size,
            mean=data.mean,
            std=data.std,
            fit=data.augment,
            augment=augment,
            seed=seed,
            device=device,
            channels_last=channels_last,
            views=views,
            workers=data.workers,
            epoch_images=epoch_images,
        )
    if isinstance(data.train, ImageFiles):
        assert isinstance(data.augment, Crops)
        return FileBatches(
            data.train,
            batch_size=batch_size,
            mean=data.mean,
            std=data.std,
            crops=data.augment,
            augment=augment,
            seed=seed,
            device=device,
            channels_last=channels_last,
            views=views,
            workers=data.workers,
            epoch_images=epoch_images,
            images_per_class=images_per_class,
        )
    assert isinstance(data.augment, Augment)
    return Batches(
        data.train,
        batch_size=batch_size,
        mean=data.mean,
        std=data.std,
        augment=data.augment if augment else None,
        seed=seed,
        device=device,
        channels_last=channels_last,
        views=views,
        epoch_images=epoch_images,
        images_per_class=images_per_class,
    )


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
    if isinstance(images, BoxedImages):
        assert isinstance(data.augment, Fit)
        return boxed_in_order(
            images,
            batch_size=batch_size,
            mean=data.mean,
            std=data.std,
            fit=data.augment,
            device=device,
            channels_last=channels_last,
            workers=data.workers,
        )
    if isinstance(images, ImageFiles):
        assert isinstance(data.augment, Crops)
        return files_in_order(
            images,
            batch_size=batch_size,
            mean=data.mean,
            std=data.std,
            crops=data.augment,
            device=device,
            channels_last=channels_last,
            workers=data.workers,
        )
    return in_order(
        images, batch_size=batch_size, mean=data.mean, std=data.std, device=device, channels_last=channels_last
    )
