"""How a set's images are read: all of them in memory, or by worker processes; chosen by their size."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from understudy.data.augment import Augment
from understudy.data.batches.decoding import default_workers
from understudy.data.crops import Crops
from understudy.data.decode import listed
from understudy.data.division import Parts
from understudy.data.image_files import ImageFiles
from understudy.data.image_set import Dataset, ImageSet
from understudy.data.in_memory import decode_all, resized

# ImageNet's, with which pretrained networks of timm and torchvision come.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
LARGEST_SIDE = 128  # of images that are held in memory unasked
WORKERS_SIZE = 224
NUM_LOOKED_AT = 64
GB = 10**9


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How images are to be read; what is None is chosen.

    `how` = "auto" holds images in memory when those that were looked at have sides of at most 128 and one size (or
    `size` is given), and all of them take at most `memory_gb`; others are decoded by `workers` processes, and cropped
    as Crops says. `mean` and `std` are in units of 0..255.
    """

    how: Literal["auto", "memory", "workers"] = "auto"
    size: int | None = None
    crop_pct: float = 0.875
    scale: tuple[float, float] = (0.08, 1.0)
    hflip: bool | None = None
    workers: int | None = None
    memory_gb: float = 2.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def read_files(found: Parts, loading: Loading) -> Dataset:
    """The set with its images read in one of the two ways.

    In memory, training shifts them by up to an eighth of their shorter side, as the 4 pixels of CIFAR's 32.
    """
    name, held_out, gallery = found.name, found.validation, found.gallery
    parts = [part for part in (found.train, found.test, held_out, gallery) if part is not None]
    sizes, num_images = _sizes(parts), sum(map(len, parts))
    size = (loading.size, loading.size) if loading.size else sizes[0] if len(sizes) == 1 else None
    against = _against_memory(loading, sizes, size, num_images)
    make = partial(
        Dataset,
        name=name,
        mean=loading.mean or MEAN,
        std=loading.std or STD,
        note=found.note,
        disjoint=found.disjoint,
    )
    flip = loading.hflip is not False
    if loading.how == "workers" or (loading.how == "auto" and against):
        crops = Crops(size=loading.size or WORKERS_SIZE, crop_pct=loading.crop_pct, scale=loading.scale, flip=flip)
        workers = default_workers() if loading.workers is None else loading.workers
        by = f"by {workers} worker process{'' if workers == 1 else 'es'}" if workers else "in this process"
        why = against if loading.how == "auto" else "data.loading=workers"
        said = f"decoded {by} and cropped to {_words((crops.size, crops.size))} ({why})"
        return make(
            train=found.train,
            test=found.test,
            validation=held_out,
            gallery=gallery,
            augment=crops,
            workers=workers,
            loading=said,
        )
    if size is None:
        raise ValueError(
            f"data.loading=memory wants images of one size, and those of {name} go from {_words(sizes[0])} to "
            f"{_words(sizes[-1])}; add data.size=SIDE"
        )
    _check_room(name, num_images, size, "data.loading=workers decodes them when they are asked for, data.size")
    train, test, held_out, gallery = decode_all((found.train, found.test, held_out, gallery), size)
    assert train is not None and test is not None
    return make(
        train=train,
        test=test,
        validation=held_out,
        gallery=gallery,
        augment=Augment(pad=min(size) // 8, flip=flip),
        loading=_said_of_memory(num_images, size),
    )


def read_tensors(dataset: Dataset, loading: Loading) -> Dataset:
    """A set that is in memory already, with its images at the size and in the units that are wanted."""
    assert isinstance(dataset.augment, Augment) and isinstance(dataset.train, ImageSet)
    if loading.how == "workers":
        raise ValueError(f"data.loading=workers is for images in files; those of {dataset.name} are held in memory")
    parts = [part for part in (dataset.train, dataset.test, dataset.validation) if isinstance(part, ImageSet)]
    size, augment = dataset.image_shape[1:], dataset.augment
    num_images = sum(map(len, parts))
    if loading.size is not None and size != (loading.size, loading.size):
        size = (loading.size, loading.size)
        if loading.how == "auto" and num_images * _bytes(size) > loading.memory_gb * GB:
            raise ValueError(
                f"data.size={loading.size}: {num_images:,} images of {_words(size)} are {_gb(num_images, size)}, "
                f"more than data.memory_gb={loading.memory_gb:g}; data.loading=memory takes them all the same"
            )
        _check_room(dataset.name, num_images, size, "a smaller data.size")
        parts = [resized(part, loading.size) for part in parts]
        augment = replace(augment, pad=loading.size // 8)
    if loading.hflip is not None:
        augment = replace(augment, flip=loading.hflip)
    return replace(
        dataset,
        train=parts[0],
        test=parts[1],
        validation=parts[2] if len(parts) > 2 else None,
        mean=loading.mean or dataset.mean,
        std=loading.std or dataset.std,
        augment=augment,
        loading=_said_of_memory(num_images, size),
    )


def _against_memory(
    loading: Loading, sizes: Sequence[tuple[int, int]], size: tuple[int, int] | None, num_images: int
) -> str:
    """Why the images are not held in memory unasked, in words; empty where they are."""
    largest = max(max(one) for one in (*sizes, size or sizes[0]))
    if largest > LARGEST_SIDE:
        return f"a side has {largest} pixels, more than {LARGEST_SIDE}"
    if size is None:
        return f"they have sizes from {_words(sizes[0])} to {_words(sizes[-1])} and data.size is not given"
    if num_images * _bytes(size) > loading.memory_gb * GB:
        return f"they would take {_gb(num_images, size)}, more than data.memory_gb={loading.memory_gb:g}"
    return ""


def _sizes(parts: Sequence[ImageFiles]) -> list[tuple[int, int]]:
    """The different (height, width) among some images of each part, smallest area first.

    Images that cannot be read are left to those who look for all of them; if there is no other, a ValueError has them.
    """
    found, troubles = set(), []
    for part in parts:
        for index in range(0, len(part), max(1, len(part) // NUM_LOOKED_AT)):
            try:
                width, height = part.read(index).size
            except ValueError as error:
                troubles.append(str(error))
                continue
            found.add((height, width))
    if not found:
        raise ValueError(listed(troubles, "images cannot be read, of as many that were looked at"))
    return sorted(found, key=lambda size: (size[0] * size[1], size))


def _check_room(name: str, num_images: int, size: tuple[int, int], way_out: str) -> None:
    """ValueError where the images would take more memory than the machine has."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else math.inf
    if num_images * _bytes(size) > there:
        raise ValueError(
            f"{name}: {num_images:,} images of {_words(size)} would take {_gb(num_images, size)} of memory, and there "
            f"are {there / GB:.3g} GB; {way_out} makes them smaller"
        )


def _said_of_memory(num_images: int, size: tuple[int, int]) -> str:
    return f"{num_images:,} of {_words(size)} held in memory, {_gb(num_images, size)}"


def _words(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _bytes(size: tuple[int, int]) -> int:
    return 3 * size[0] * size[1]


def _gb(num_images: int, size: tuple[int, int]) -> str:
    return f"{num_images * _bytes(size) / GB:.3g} GB"
