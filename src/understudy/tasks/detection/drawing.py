"""A picture of what a detector finds on a few images."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image
from torchvision.utils import draw_bounding_boxes, make_grid

from understudy.data import BoxedImages, Dataset
from understudy.data.fit import square
from understudy.precision import Precision
from understudy.spec.run_files import DETECTIONS
from understudy.tasks.detection.measure import detect

NUM_IMAGES, COLUMNS = 8, 4
# Of the detections of an image at most so many are drawn, the surest first, and none that is less sure.
MOST, LEAST_SCORE = 6, 0.3
SIDE = 320
THERE, FOUND = "white", "red"


def draw(detector: nn.Module, data: Dataset, precision: Precision, folder: Path) -> Path:
    """The first test images with their objects in white and what is found in red, as `detections.jpg` in the folder."""
    assert isinstance(data.test, BoxedImages)
    some = data.test.subset(torch.arange(min(NUM_IMAGES, len(data.test))))
    pictures = [
        _drawn(some, index, found, data.train.class_names)
        for index, found in enumerate(detect(detector, some, precision.device))
    ]
    path = folder / DETECTIONS
    sheet = make_grid(square(pictures, SIDE), nrow=COLUMNS, padding=4, pad_value=255)
    to_pil_image(sheet).save(path, quality=85)
    return path


def _drawn(images: BoxedImages, index: int, found: dict[str, Tensor], class_names: tuple[str, ...]) -> Tensor:
    """(3, H, W) in uint8, the longer side SIDE."""
    pixels = pil_to_tensor(images.read(index))
    scale = SIDE / max(pixels.shape[1:])
    size = [max(1, int(side * scale)) for side in pixels.shape[1:]]
    pixels = torch.nn.functional.interpolate(pixels[None].float(), size=size, mode="bilinear")[0].round().byte()
    pixels = _with_boxes(pixels, images.objects[index].boxes * scale, None, THERE)
    sure = (found["scores"] >= LEAST_SCORE).nonzero()[:MOST, 0]
    told = [f"{class_names[int(found['labels'][one])]} {float(found['scores'][one]):.2f}" for one in sure.tolist()]
    return _with_boxes(pixels, found["boxes"][sure] * scale, told, FOUND)


def _with_boxes(pixels: Tensor, boxes: Tensor, told: list[str] | None, colour: str) -> Tensor:
    """torchvision warns where there are none, and takes no box that rounding has left without an extent."""
    wide = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(dim=1)
    if not wide.any():
        return pixels
    words = None if told is None else [word for word, is_wide in zip(told, wide.tolist(), strict=True) if is_wide]
    return draw_bounding_boxes(pixels, boxes[wide], words, colors=colour, width=2)
