"""A set divided by class: the first half of the classes to train on, the others to test on.

This is how retrieval is measured on CUB-200-2011 (100 and 100 species) and on Cars-196 (98 and 98 models): Song, Xiang,
Jegelka & Savarese, "Deep Metric Learning via Lifted Structured Feature Embedding", CVPR 2016, section 5.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeVar

import torch
from PIL import Image

from understudy.data.image_files import ImageFiles, Source
from understudy.data.image_set import ImageSet

SUFFIX = "-disjoint"
Part = TypeVar("Part", ImageSet, ImageFiles)


@dataclass(frozen=True, eq=False)
class ChainedSource:
    """The images of several sources in a row: `ends` counts those of the first, of the first two, and so on."""

    sources: tuple[Source, ...]
    ends: tuple[int, ...]

    def read(self, row: int) -> Image.Image:
        source, inside = self._place(row)
        return source.read(inside)

    def name(self, row: int) -> str:
        source, inside = self._place(row)
        return source.name(inside)

    def stamp(self, row: int) -> str:
        source, inside = self._place(row)
        return source.stamp(inside)

    def _place(self, row: int) -> tuple[Source, int]:
        place = bisect_right(self.ends, row)
        return self.sources[place], row - (self.ends[place - 1] if place else 0)


def pooled(parts: Sequence[Part]) -> Part:
    """All images of the parts, which have the same classes, in the order of the parts."""
    first = parts[0]
    labels = torch.cat([part.labels for part in parts])
    if isinstance(first, ImageSet):
        images = torch.cat([part.images for part in parts if isinstance(part, ImageSet)])
        return ImageSet(images=images, labels=labels, class_names=first.class_names)
    files = [part for part in parts if isinstance(part, ImageFiles)]
    # A source may have more rows than a part shows.
    sizes = [int(part.rows.max()) + 1 if len(part) else 0 for part in files]
    ends = tuple(accumulate(sizes))
    rows = torch.cat([part.rows + end - size for part, end, size in zip(files, ends, sizes, strict=True)])
    source = ChainedSource(tuple(part.source for part in files), ends)
    return ImageFiles(source=source, rows=rows, labels=labels, class_names=first.class_names)


def divided_by_class(part: Part, num_first: int | None = None) -> tuple[Part, Part]:
    """(images of the first classes, images of the others), each with its own class names, in the order of the set.

    The first are half of them, of an odd number the larger half, unless told otherwise. ValueError for one class alone.
    """
    names = part.class_names
    if len(names) < 2:
        raise ValueError(f"a set is divided by class, and there is {len(names)}: {', '.join(names)}")
    num_first = (len(names) + 1) // 2 if num_first is None else num_first
    is_first = part.labels < num_first
    first = part.subset(is_first.nonzero()[:, 0])
    others = part.subset((~is_first).nonzero()[:, 0])
    return (
        replace(first, class_names=names[:num_first]),
        replace(others, labels=others.labels - num_first, class_names=names[num_first:]),
    )


def held_out_classes(part: Part, *, fraction: float) -> tuple[Part, Part]:
    """(what remains, validation): the last classes of the part, so many that they are nearest to the fraction.

    A student of some classes that is measured on others is chosen by others still. ValueError where none or all would
    be held out.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation must be a fraction from 0 to below 1, found {fraction:g}")
    total = len(part.class_names)
    num_held_out = round(total * fraction)
    if not 0 < num_held_out < total:
        raise ValueError(
            f"a validation fraction of {fraction:g} holds {num_held_out} of {total} classes out; "
            f"both sides need at least one: take from {1 / total:.2g} to {1 - 1 / total:.2g}"
        )
    return divided_by_class(part, total - num_held_out)
