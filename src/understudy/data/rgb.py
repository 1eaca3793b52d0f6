"""Encoded images of any kind to upright ones in RGB."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

# How an image lies for each orientation of EXIF but 1 -> what turns it upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_rgb(file: Path | bytes, where: str) -> Image.Image:
    """The image of a file, or of a file's contents, in RGB and turned as its EXIF orientation says.

    Grey becomes three equal channels, 16 bits become the upper 8, and what is transparent keeps the colour that lies
    below. A ValueError begins with `where` and says what is wrong.
    """
    try:
        with Image.open(BytesIO(file) if isinstance(file, bytes) else file) as image:
            return _rgb(image)
    except FileNotFoundError as error:
        raise ValueError(f"{where} is not there") from error
    # Pillow's decoders raise many types (OSError, SyntaxError, struct.error, ...); each becomes one line.
    except Exception as error:
        raise ValueError(f"{where} {_trouble(file, error)}") from error


def _trouble(file: Path | bytes, error: Exception) -> str:
    if not file if isinstance(file, bytes) else file.is_file() and file.stat().st_size == 0:
        return "is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return "is broken (it does not begin as an image does)"
    return f"is broken ({type(error).__name__}: {error})"


def _rgb(image: Image.Image) -> Image.Image:
    image = _upright(image)
    if image.mode.startswith("I"):
        image = _upper_bits(image)
    elif image.mode == "F":
        raise ValueError("its pixels are floats, of no known range")
    elif image.mode == "P" and "transparency" in image.info:
        # Pillow warns where a palette's transparency is dropped on the way to RGB.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says; tags that cannot be read leave it as it lies, and no others are looked at."""
    # Pillow turns a TIFF itself when it is loaded, and takes the tag off.
    image.load()
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        turn = None
    return image if turn is None else image.transpose(turn)


def _upper_bits(image: Image.Image) -> Image.Image:
    """16 bits to the upper 8: Pillow's own conversion cuts off at 255, which leaves a white image.

    Where 32 bits are announced and none but the lowest 8 are used, they are the image.
    """
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise ValueError(f"its pixels go from {pixels.min()} to {pixels.max()}, expected 16 bits at most")
    is_small = image.mode == "I" and pixels.max() <= 0xFF
    return Image.fromarray((pixels if is_small else pixels >> 8).astype(np.uint8))
