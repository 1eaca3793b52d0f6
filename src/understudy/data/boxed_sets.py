"""The sets of images with boxes, by name."""

from pathlib import Path

from understudy.data.boxed_parquet import boxed_parquet, has_boxes
from understudy.data.choose import MEAN, STD, Loading
from understudy.data.decoding import default_workers
from understudy.data.fit import Fit
from understudy.data.image_set import Dataset
from understudy.data.voc import SETS, voc

# The longer side of an image: of VOC's usual 500 x 375 pixels the shorter one then has the 600 of Faster R-CNN's
# authors. Parquet files have smaller images, and are decoded here.
OFFICIAL_SIZE, PARQUET_SIZE = 800, 256
FEW_IMAGES = 2000


def is_boxed(name: str, folder: Path) -> bool:
    """Whether the set of this name shows objects in boxes."""
    return name in SETS or (":" not in name and has_boxes(name, folder))


def boxed(
    name: str,
    *,
    folder: Path,
    percent: float | None,
    validation: float,
    seed: int,
    download: bool,
    loading: Loading,
) -> Dataset:
    """The set `name`, or a part of it, as `Dataset`. Raises ValueError for what cannot be read."""
    official = name in SETS
    whole = voc(name, folder=folder, download=download) if official else boxed_parquet(name, folder=folder)
    found = whole.chosen(percent=percent, validation=validation, seed=seed)
    workers = loading.workers
    if workers is None:
        workers = 0 if len(found.train) < FEW_IMAGES else default_workers()
    size = loading.size or (OFFICIAL_SIZE if official else PARQUET_SIZE)
    return Dataset(
        name=name,
        train=found.train,
        test=found.test,
        validation=found.validation,
        mean=loading.mean or MEAN,
        std=loading.std or STD,
        augment=Fit(size=size, flip=loading.hflip is not False),
        workers=workers,
        loading=f"the longer side at {size} pixels, in squares of {size}x{size}",
        note=found.note,
    )
