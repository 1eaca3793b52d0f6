"""Images held in memory as one array."""

from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True, eq=False)
class ArraySource:
    """(N, height, width, 3) or (N, height, width) in uint8; `origin` says where they were read."""

    pixels: np.ndarray
    origin: str

    def read(self, row: int) -> Image.Image:
        return Image.fromarray(self.pixels[row]).convert("RGB")

    def name(self, row: int) -> str:
        return f"{self.origin} image {row}"

    def stamp(self, row: int) -> str:
        return ""
