"""The sets of images with boxes, by name or address."""

from pathlib import Path

from understudy.data.batches.decoding import default_workers
from understudy.data.boxed.coco import coco
from understudy.data.boxed.parquet import boxed_parquet, has_boxes
from understudy.data.boxed.parts import BoxedParts
from understudy.data.boxed.voc import SETS, voc
from understudy.data.boxed.voc_folder import voc_folder
from understudy.data.choose import MEAN, STD, Loading
from understudy.data.fit import Fit
from understudy.data.image_set import Dataset
from understudy.spec import expanded

# The longer side of an image: of VOC's usual 500 x 375 pixels the shorter one then has the 600 of Faster R-CNN's
# authors. Parquet files have smaller images, and are decoded here.
OFFICIAL_SIZE, PARQUET_SIZE = 800, 256
FEW_IMAGES = 2000
ADDRESSES = {"coco": coco, "voc": voc_folder}


def is_boxed(name: str, folder: Path) -> bool:
    """Whether the set of this name shows objects in boxes."""
    kind, colon, _ = name.partition(":")
    return name in SETS or (kind in ADDRESSES if colon else has_boxes(name, folder))


def boxed(
    name: str,
    *,
    folder: Path,
    percent: float | None,
    validation: float,
    seed: int,
    split_seed: int,
    download: bool,
    loading: Loading,
) -> Dataset:
    """The set `name`, or a part of it, as `Dataset`; `split_seed` divides what comes undivided.

    Raises ValueError for what cannot be read.
    """
    whole = _whole(name, folder, download, split_seed)
    found = whole.chosen(percent=percent, validation=validation, seed=seed)
    workers = loading.workers
    if workers is None:
        workers = 0 if len(found.train) < FEW_IMAGES else default_workers()
    size = loading.size or (OFFICIAL_SIZE if name in SETS or ":" in name else PARQUET_SIZE)
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


def _whole(name: str, folder: Path, download: bool, seed: int) -> BoxedParts:
    if name in SETS:
        return voc(name, folder=folder, download=download)
    kind, colon, rest = name.partition(":")
    if not colon:
        return boxed_parquet(name, folder=folder, seed=seed)
    if not rest:
        raise ValueError(f"{name} names nothing; expected {kind}:PATH")
    return ADDRESSES[kind](expanded(rest), seed=seed)
