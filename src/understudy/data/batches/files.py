"""Batches of images with labels that are decoded when they are asked for."""

from collections.abc import Iterator

from torch import Tensor

from understudy.data.batches.decoded import DecodedBatches, decoded_in_order
from understudy.data.batches.decoding import CropDecoder, Decoding
from understudy.data.batches.epochs import Epochs, Showing, check_batches
from understudy.data.batches.scale import Scale
from understudy.data.crops import Crops
from understudy.data.image_files import ImageFiles
from understudy.data.parquet.by_group import by_group

CHANNELS = 3


def file_batches(
    files: ImageFiles, showing: Showing, scale: Scale, crops: Crops, *, augment: bool, workers: int = 0
) -> DecodedBatches:
    """What `Batches` is for images in memory: images (B, 3, size, size) and labels (B,).

    `augment=False` shows the middle of the images.
    """
    epochs = Epochs(
        showing,
        len(files),
        is_augmented=augment,
        labels=files.labels,
        usual=lambda batch_size: by_group(files.source, files.rows, batch_size),
    )
    decoding = Decoding(CropDecoder(files, crops), workers=workers, pin=scale.is_on_cuda)
    return DecodedBatches(epochs, decoding, _Finishing(files.labels, scale), crops if augment else None)


def files_in_order(
    files: ImageFiles, scale: Scale, crops: Crops, *, batch_size: int, workers: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """The middle of every image once, in order: images (B, C, H, W) and labels (B,). The last batch may be smaller."""
    check_batches(len(files), batch_size)
    finish, decoder = _Finishing(files.labels, scale), CropDecoder(files, crops)
    return decoded_in_order(len(files), decoder, finish, batch_size=batch_size, workers=workers, pin=scale.is_on_cuda)


class _Finishing:
    """A decoded batch on the device, normalised, with its labels."""

    def __init__(self, labels: Tensor, scale: Scale):
        scale.check(CHANNELS)
        self._scale = scale
        self._labels = labels.to(scale.device)

    def __call__(self, found: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self._scale(found), self._labels[indices.to(self._scale.device, non_blocking=True)]
