"""Class-balanced parts of an image set, in memory or in files.

The images of every class are ranked by a seeded generator, and a part takes the first so many ranks of each
class: of one set and seed, the smaller subset lies inside the larger.
"""

from typing import TypeVar

import torch

from understudy.data.image_files import ImageFiles
from understudy.data.image_set import ImageSet

Part = TypeVar("Part", ImageSet, ImageFiles)


def percent_subset(image_set: Part, *, percent: float, seed: int) -> Part:
    """`percent` of every class, rounded to whole images, in the order of the set.

    Exactly balanced where the set is. 100 is the set itself. A ValueError where a class would keep no image.
    """
    if not 0 < percent <= 100:
        raise ValueError(f"percent must be above 0 and at most 100, found {percent:g}")
    counts = _counts(image_set)
    kept = [round(count * percent / 100) for count in counts]
    if min(kept) < 1:
        fewest = min(counts)
        raise ValueError(
            f"{percent:g} percent leaves no image of class {image_set.class_names[counts.index(fewest)]!r}, "
            f"which has {fewest}" + (f"; take {100 / fewest:g} percent or more" if fewest else "")
        )
    return take_of_each_class(image_set, counts=kept, seed=seed)[0]


def per_class_subset(image_set: Part, *, per_class: int, seed: int) -> Part:
    """`per_class` images of every class, in the order of the set; a ValueError if a class has fewer."""
    if per_class < 1:
        raise ValueError(f"per_class must be 1 or more, found {per_class}")
    counts = _counts(image_set)
    fewest = min(counts)
    if per_class > fewest:
        raise ValueError(
            f"per_class is {per_class}, but class {image_set.class_names[counts.index(fewest)]!r} has only "
            f"{fewest} images; take {fewest} or fewer"
        )
    return take_of_each_class(image_set, counts=[per_class] * len(counts), seed=seed)[0]


def validation_split(image_set: Part, *, fraction: float, seed: int) -> tuple[Part, Part]:
    """(what remains, validation): `fraction` of every class is taken out, rounded to whole images.

    A ValueError where a class would have no image on one of the two sides.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation must be a fraction from 0 to below 1, found {fraction:g}")
    counts = _counts(image_set)
    taken = [round(count * fraction) for count in counts]
    for name, out, count in zip(image_set.class_names, taken, counts, strict=True):
        if not 0 < out < count:
            raise ValueError(
                f"a validation fraction of {fraction:g} takes {out} of the {count} images of class {name!r}; "
                "both sides need at least one"
            )
    validation, remaining = take_of_each_class(image_set, counts=taken, seed=seed)
    return remaining, validation


def take_of_each_class(image_set: Part, *, counts: list[int], seed: int) -> tuple[Part, Part]:
    """(`counts[label]` images of every class, all the others), both in the order of the set."""
    generator = torch.Generator().manual_seed(seed)
    is_taken = torch.zeros(len(image_set), dtype=torch.bool)
    for label, count in enumerate(counts):
        of_class = (image_set.labels.cpu() == label).nonzero()[:, 0]
        is_taken[of_class[torch.randperm(len(of_class), generator=generator)[:count]]] = True
    return image_set.subset(is_taken.nonzero()[:, 0]), image_set.subset((~is_taken).nonzero()[:, 0])


def _counts(image_set: ImageSet | ImageFiles) -> list[int]:
    return torch.bincount(image_set.labels, minlength=len(image_set.class_names)).tolist()
