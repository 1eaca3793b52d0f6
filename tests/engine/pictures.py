"""A data set of pictures that are drawn when they are read, and a program that learns them."""

from dataclasses import dataclass

import torch
from PIL import Image

from understudy.data import Crops, Dataset, ImageFiles

CLASSES = ("ant", "bee", "cat")


@dataclass(frozen=True)
class Drawn:
    """Noise around one bright corner, which the class decides; `broken` cannot be read."""

    broken: int = -1

    def read(self, row: int) -> Image.Image:
        if row == self.broken:
            raise ValueError(f"{self.name(row)} is broken")
        generator = torch.Generator().manual_seed(row)
        pixels = torch.randint(128, (20 + row % 4, 24, 3), dtype=torch.uint8, generator=generator)
        pixels[:, 8 * (row % 3) : 8 * (row % 3) + 8] += 120
        return Image.fromarray(pixels.numpy())

    def name(self, row: int) -> str:
        return f"drawn/{row}.png"

    def stamp(self, row: int) -> str:
        return ""


def files(first: int, count: int, broken: int = -1) -> ImageFiles:
    rows = torch.arange(first, first + count)
    return ImageFiles(source=Drawn(broken), rows=rows, labels=rows % 3, class_names=CLASSES)


def pictures(workers: int = 0, broken: int = -1) -> Dataset:
    """64 to train on and 20 to measure on, cropped to 8x8."""
    return Dataset(
        name="pictures",
        train=files(0, 64, broken),
        test=files(100, 20),
        mean=(100.0,) * 3,
        std=(60.0,) * 3,
        augment=Crops(size=8),
        workers=workers,
        loading="drawn",
        note="of corners",
    )
