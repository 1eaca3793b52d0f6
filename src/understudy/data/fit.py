"""What images with boxes go through one by one: fitted into a square, and flipped every second time to train on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from understudy.data.boxed_images import Objects
from understudy.data.seeds import drawing_from

# By as much detectors divide an image's sides at most.
DIVISOR = 32


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Images whose longer side becomes `size`, bilinear without antialiasing, as torchvision's detectors resize.

    They lie in the upper left of a square, the rest of which is empty. `flip` flips every second image to train on.
    """

    size: int
    flip: bool = True

    def __post_init__(self) -> None:
        if self.size < DIVISOR or self.size % DIVISOR:
            nearest = max(1, round(self.size / DIVISOR)) * DIVISOR
            raise ValueError(f"data.size={self.size}: detectors take multiples of {DIVISOR}; nearest: {nearest}")

    def random(self, image: Image.Image, objects: Objects, seed: int) -> tuple[Tensor, Tensor]:
        """(3, H, W) in uint8 and the boxes in it (N, 4), for training; the seed alone decides what is drawn."""
        with drawing_from(seed):
            return self._answer(self._random, image, objects)

    def plain(self, image: Image.Image, objects: Objects) -> tuple[Tensor, Tensor]:
        """(3, H, W) in uint8 and the boxes in it (N, 4), as they are."""
        return self._answer(self._plain, image, objects)

    def prepare(self) -> None:
        """Have it all imported, once for the processes that will be forked from this one."""
        _ = self._random, self._plain

    @staticmethod
    def _answer(transform: Callable[..., Any], image: Image.Image, objects: Objects) -> tuple[Tensor, Tensor]:
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        pixels = tv_tensors.Image(v2.functional.pil_to_tensor(image))
        # torchvision's own annotations leave these arguments out.
        make: Any = tv_tensors.BoundingBoxes
        boxes = make(objects.boxes, format="XYXY", canvas_size=(image.height, image.width))
        pixels, boxes = transform(pixels, boxes)
        return pixels.as_subclass(Tensor), boxes.as_subclass(Tensor)

    # torchvision takes seconds to import: only where images are fitted.
    @cached_property
    def _random(self) -> Callable[..., Any]:
        from torchvision.transforms import v2

        return v2.Compose([v2.RandomHorizontalFlip(0.5 if self.flip else 0.0), self._plain])

    @cached_property
    def _plain(self) -> Callable[..., Any]:
        from torchvision.transforms import v2

        return v2.Resize(size=None, max_size=self.size, antialias=False)


def square(images: list[Tensor], size: int) -> Tensor:
    """Images (3, H, W) as one batch (B, 3, size, size), each in the upper left; the rest is 0."""
    batch = torch.zeros(len(images), 3, size, size, dtype=images[0].dtype)
    for place, image in zip(batch, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return batch
