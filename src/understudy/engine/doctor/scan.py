"""Every image looked at once: can it be read, is there anything on it, and has it been seen before?"""

import hashlib
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from understudy.data import BoxedImages, Dataset, ImageFiles, Images, ImageSet
from understudy.engine.doctor.sample import drawn, shuffled

# Of images that have to be decoded, as many of each part are looked at.
MOST_FILES = 10_000


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What was seen of a part: of each image looked at its index, label, fingerprint (None: unreadable), and whether
    every pixel of it is the same. `troubles` has a line for each that cannot be read; `num_images` are in the part.
    """

    num_images: int
    indices: list[int]
    labels: list[int]
    digests: list[bytes | None]
    is_blank: list[bool]
    troubles: list[str]

    def how_many(self) -> str:
        """'50,000', or '10,000 of 1,281,167'."""
        seen = len(self.indices)
        return f"{seen:,}" if seen == self.num_images else f"{seen:,} of {self.num_images:,}"


def parts_of(data: Dataset) -> dict[str, Images]:
    """The parts that there are, by what they are called."""
    parts = {"training": data.train, "held-out": data.validation, "test": data.test, "gallery": data.gallery}
    return {name: part for name, part in parts.items() if part is not None}


def scan(images: Images, most_files: int = MOST_FILES, seconds: float = math.inf) -> Scan:
    """All images of a set in memory; of files at most so many as are decoded in that time, drawn, in threads."""
    return _scan_pixels(images) if isinstance(images, ImageSet) else _scan_files(images, most_files, seconds)


def _scan_pixels(images: ImageSet) -> Scan:
    pixels = images.images.cpu().contiguous().flatten(2)
    rows = pixels.flatten(1).numpy()
    return Scan(
        num_images=len(images),
        indices=list(range(len(images))),
        labels=images.labels.tolist(),
        digests=[hashlib.blake2b(row.data, digest_size=16).digest() for row in rows],
        is_blank=(pixels.amax(dim=2) == pixels.amin(dim=2)).all(dim=1).tolist(),
        troubles=[],
    )


def _scan_files(files: ImageFiles | BoxedImages, most: int, seconds: float) -> Scan:
    until = time.monotonic() + seconds
    # In order, images that lie together in a file are read together; what may be cut short is drawn over all.
    order = (drawn(len(files), most) if math.isinf(seconds) else shuffled(len(files))[:most]).tolist()

    def look(index: int) -> tuple[bytes | None, bool, str] | None:
        return _look(files, index) if time.monotonic() < until else None

    # Pillow decodes without Python's lock.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = sorted((index, one) for index, one in zip(order, threads.map(look, order), strict=True) if one)
    indices, looks = [index for index, _ in found], [one for _, one in found]
    return Scan(
        num_images=len(files),
        indices=indices,
        labels=files.labels[indices].tolist() if isinstance(files, ImageFiles) else [],
        digests=[digest for digest, _, _ in looks],
        is_blank=[is_blank for _, is_blank, _ in looks],
        troubles=[trouble for _, _, trouble in looks if trouble],
    )


def _look(files: ImageFiles | BoxedImages, index: int) -> tuple[bytes | None, bool, str]:
    try:
        image = files.read(index)
    except (ValueError, OSError) as error:
        return None, False, str(error)
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.digest(), _is_blank(image), ""


def _is_blank(image: Image.Image) -> bool:
    return all(low == high for low, high in (band.getextrema() for band in image.split()))
