"""What large images go through one by one: random crops of a random size to train on, the middle to measure on.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015; as torchvision's transforms carry it out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from PIL import Image
from torch import Tensor

from understudy.data.seeds import drawing_from


@dataclass(frozen=True, kw_only=True)
class Crops:
    """Images of any size to `size` x `size`, bilinear with antialiasing.

    To train on: a crop of a share of the area from `scale` and a ratio of the sides from `ratio`, flipped every second
    time with `flip`. To measure on: the shorter side becomes size / `crop_pct`, and the middle is taken.
    """

    size: int
    crop_pct: float = 0.875
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"crops: size must be 1 or more, found {self.size}")
        if not 0 < self.crop_pct <= 1:
            raise ValueError(f"crops: crop_pct must be above 0 and at most 1, found {self.crop_pct:g}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"crops: scale must be two shares of the area, 0 < least <= most <= 1, found {self.scale}")

    def random(self, image: Image.Image, seed: int) -> Tensor:
        """(3, size, size) in uint8, for training; the seed alone decides what is drawn."""
        with drawing_from(seed):
            return self._random(image)

    def middle(self, image: Image.Image) -> Tensor:
        """(3, size, size) in uint8, for measuring."""
        return self._middle(image)

    def prepare(self) -> None:
        """Have it all imported, once for the processes that will be forked from this one."""
        _ = self._random, self._middle

    # torchvision takes seconds to import: only where images are cropped.
    @cached_property
    def _random(self) -> Callable[[Image.Image], Tensor]:
        from torchvision.transforms import v2

        crop = v2.RandomResizedCrop(self.size, scale=self.scale, ratio=self.ratio, antialias=True)
        return v2.Compose([crop, v2.RandomHorizontalFlip(0.5 if self.flip else 0.0), v2.PILToTensor()])

    @cached_property
    def _middle(self) -> Callable[[Image.Image], Tensor]:
        from torchvision.transforms import v2

        resize = v2.Resize(int(self.size / self.crop_pct), antialias=True)
        return v2.Compose([resize, v2.CenterCrop(self.size), v2.PILToTensor()])
