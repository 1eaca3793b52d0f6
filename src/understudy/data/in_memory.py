"""Files decoded once into an image set."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image, ImageOps

from understudy.data.decode import listed
from understudy.data.image_files import ImageFiles
from understudy.data.image_set import ImageSet


def decode_all(parts: Sequence[ImageFiles | None], size: tuple[int, int]) -> list[ImageSet | None]:
    """The parts that there are, decoded. One ValueError lists the images of all of them that cannot be."""
    decoded: list[ImageSet | None] = []
    troubles = []
    for part in parts:
        try:
            decoded.append(None if part is None else decode_files(part, size))
        except ValueError as error:
            troubles.append(str(error))
    if troubles:
        raise ValueError("; ".join(troubles))
    return decoded


def decode_files(files: ImageFiles, size: tuple[int, int]) -> ImageSet:
    """All images in RGB at `size` (height, width), decoded in threads.

    One of another size is scaled, bilinear with antialiasing, until it covers the size, and its middle is taken. One
    ValueError lists those that cannot be decoded.
    """
    height, width = size
    pixels = np.empty((len(files), height, width, 3), dtype=np.uint8)

    def fill(index: int) -> str | None:
        try:
            image = files.read(index)
            if image.size != (width, height):
                image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
            pixels[index] = np.asarray(image)
        except ValueError as error:
            return str(error)
        except OSError as error:
            return f"{files.name(index)} cannot be read ({error})"
        return None

    # Pillow decodes and scales without Python's lock.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        troubles = [trouble for trouble in threads.map(fill, range(len(files))) if trouble]
    if troubles:
        raise ValueError(listed(troubles, f"of {len(files)} images cannot be used"))
    return ImageSet(
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        labels=files.labels,
        class_names=files.class_names,
    )


def resized(image_set: ImageSet, size: int) -> ImageSet:
    """The images at size x size: the shorter side scaled, bilinear with antialiasing, and the middle taken."""
    from torchvision.transforms.v2 import functional as F

    chunks = [
        F.center_crop(F.resize(chunk, [size], antialias=True), [size, size]) for chunk in image_set.images.split(1024)
    ]
    return ImageSet(images=torch.cat(chunks), labels=image_set.labels, class_names=image_set.class_names)
