"""The data sets that are known by name."""

import difflib
import os
from dataclasses import replace
from pathlib import Path

from understudy.data.cifar import CIFAR10, CIFAR100, cifar
from understudy.data.digits import digits
from understudy.data.image_set import Dataset
from understudy.data.subsets import per_class_subset, percent_subset, validation_split

NAMES = {
    "digits": "1,797 handwritten digits of 8x8 that ship with scikit-learn; nothing to download",
    "cifar10": "60,000 colour images of 32x32 in 10 classes; Parquet files or torchvision's archive",
    "cifar100": "60,000 colour images of 32x32 in 100 classes; Parquet files or torchvision's archive",
}


def load(
    name: str,
    *,
    folder: Path | None = None,
    percent: float | None = None,
    per_class: int | None = None,
    validation: float = 0.0,
    seed: int = 0,
    download: bool = False,
) -> Dataset:
    """The data set `name`, whole or a class-balanced part of it.

    `folder` is where files are looked for and downloaded to: $UNDERSTUDY_DATA or else ./data by default.
    `validation` is the fraction of each class first taken out of the train images; then `percent` of the
    rest, or `per_class` images of each class, are kept. The test images are never touched. Mean and std stay
    those of the whole set. `seed` decides which images these are, nothing else.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=2, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"unknown data set {name!r}; known are {', '.join(NAMES)}{hint}")
    if percent is not None and per_class is not None:
        raise ValueError(f"percent ({percent:g}) and per_class ({per_class}) are both given; give one")
    dataset = _whole(name, folder or Path(os.environ.get("UNDERSTUDY_DATA") or "data"), download)
    train, held_out = dataset.train, None
    if validation != 0:
        train, held_out = validation_split(train, fraction=validation, seed=seed)
    if percent is not None:
        train = percent_subset(train, percent=percent, seed=seed)
    if per_class is not None:
        train = per_class_subset(train, per_class=per_class, seed=seed)
    return replace(dataset, train=train, validation=held_out)


def _whole(name: str, folder: Path, download: bool) -> Dataset:
    if name == "digits":
        return digits()
    return cifar({"cifar10": CIFAR10, "cifar100": CIFAR100}[name], folder=folder, download=download)
