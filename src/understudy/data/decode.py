"""Encoded images to pixels, and a list of those that cannot be."""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

NUM_SHOWN = 50


def decode(encoded: Iterable[tuple[str, bytes | None]], *, num_images: int, size: tuple[int, int]) -> np.ndarray:
    """(where, file contents) of each image -> (num_images, height, width, 3) in uint8; grey becomes RGB.

    One ValueError names every image that is broken, absent or not of `size` (height, width): the first fifty of
    them by `where`, and how many there are.
    """
    pixels = np.empty((num_images, *size, 3), dtype=np.uint8)
    troubles = []
    for row, (where, contents) in enumerate(encoded):
        trouble = "has no image" if contents is None else _decode_into(pixels[row], contents)
        if trouble:
            troubles.append(f"{where} {trouble}")
    if troubles:
        raise ValueError(listed(troubles, f"of {num_images} images cannot be used"))
    return pixels


def listed(troubles: list[str], what: str) -> str:
    """ "3 WHAT: a; b; c", with the first fifty of them."""
    more = f"; and {len(troubles) - NUM_SHOWN} more" if len(troubles) > NUM_SHOWN else ""
    return f"{len(troubles)} {what}: {'; '.join(troubles[:NUM_SHOWN])}{more}"


def _decode_into(pixels: np.ndarray, contents: bytes) -> str | None:
    """Fill (height, width, 3) in place, or say what is wrong."""
    height, width, _ = pixels.shape
    try:
        with Image.open(io.BytesIO(contents)) as image:
            if image.size != (width, height):
                return f"is {image.size[0]}x{image.size[1]} (width x height), expected {width}x{height}"
            pixels[:] = image.convert("RGB")
    # Pillow's decoders raise many types (OSError, SyntaxError, struct.error, ...); each becomes one line.
    except Exception as error:
        return f"is broken ({type(error).__name__}: {error})"
    return None
