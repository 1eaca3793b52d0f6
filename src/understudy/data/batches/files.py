"""Normalised batches of images with labels that are decoded when they are asked for."""

from collections.abc import Iterator

import torch
from torch import Tensor

from understudy.data.batches.decoded import DecodedBatches, decoded_in_order
from understudy.data.batches.decoding import CropDecoder, Decoding
from understudy.data.batches.resident import check, constants, normalised
from understudy.data.batches.sampling import by_class
from understudy.data.crops import Crops
from understudy.data.image_files import ImageFiles
from understudy.data.parquet.by_group import by_group

CHANNELS = 3


class FileBatches(DecodedBatches):
    """What `Batches` is for images in memory: images (B, 3, size, size) and labels (B,).

    `augment=False` shows the middle of the images. `mean` and `std` are in units of 0..255.
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
        channels_last: bool = False,
        views: int = 0,
        workers: int = 0,
        epoch_images: int | None = None,
        images_per_class: int = 0,
    ) -> None:
        check(len(files), CHANNELS, batch_size, mean, std)
        finish = _Finishing(files.labels, mean, std, device, channels_last)
        size = min(batch_size, epoch_images or len(files))
        super().__init__(
            len(files),
            Decoding(CropDecoder(files, crops), workers=workers, pin=finish.is_on_cuda),
            finish,
            batch_size=batch_size,
            augment=crops if augment else None,
            seed=seed,
            views=views,
            epoch_images=epoch_images,
            by_class=by_class(files.labels, size, images_per_class),
            by_group=by_group(files.source, files.rows, size),
        )


def files_in_order(
    files: ImageFiles,
    *,
    batch_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    crops: Crops,
    device: torch.device | str,
    channels_last: bool = False,
    workers: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The middle of every image once, in order: images (B, C, H, W) and labels (B,). The last batch may be smaller."""
    check(len(files), CHANNELS, batch_size, mean, std)
    finish = _Finishing(files.labels, mean, std, device, channels_last)
    decoder = CropDecoder(files, crops)
    return decoded_in_order(len(files), decoder, finish, batch_size=batch_size, workers=workers, pin=finish.is_on_cuda)


class _Finishing:
    """A decoded batch on the device, normalised, with its labels."""

    def __init__(
        self,
        labels: Tensor,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device | str,
        channels_last: bool,
    ):
        self._device = torch.device(device)
        self.is_on_cuda = self._device.type == "cuda"
        self.labels = labels.to(self._device)
        self._constants = constants(mean, std, self._device)
        self._layout = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, found: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        images = normalised(found.to(self._device, non_blocking=True), *self._constants)
        return images.to(memory_format=self._layout), self.labels[indices.to(self._device, non_blocking=True)]
