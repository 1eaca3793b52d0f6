"""What a detector finds on the images of a set, and how good that is."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import pil_to_tensor

from understudy.data import BoxedImages, Dataset, Images
from understudy.modes import evaluating
from understudy.precision import Precision
from understudy.tasks.detection.average_precision import average_precision, mean_over_classes

# The two definitions as scores are called: VOC 2007's is what papers on it print.
NAMES = {"eleven_points": "map_pct", "area": "map_area_pct"}
BATCH = 8


@torch.no_grad()
def detect(detector: nn.Module, images: BoxedImages, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Boxes (N, 4) in the image's own pixels, labels (N,) from 0 and scores (N,) of each image, on the processor."""
    with evaluating(detector):
        for first in range(0, len(images), BATCH):
            chosen = range(first, min(first + BATCH, len(images)))
            batch = [pil_to_tensor(images.read(index)).to(device).float() / 255 for index in chosen]
            for found in detector(batch):
                yield {
                    "boxes": found["boxes"].float().cpu(),
                    "labels": found["labels"].cpu() - 1,
                    "scores": found["scores"].float().cpu(),
                }


def measure(network: nn.Module, images: Images, data: Dataset, precision: Precision) -> dict[str, float]:
    """The mean average precision by both definitions, and each class's: `ap_CLASS_pct` and `ap_area_CLASS_pct`.

    In per cent, at an overlap of 0.5. Classes without objects that count have no entry.
    """
    assert isinstance(images, BoxedImages)
    with precision.autocast():
        return scores_of([*detect(network, images, precision.device)], images)


def scores_of(found: Sequence[dict[str, Tensor]], images: BoxedImages) -> dict[str, float]:
    """The same of what was found in each of the images."""
    objects = [vars(each) for each in images.objects]
    scores = average_precision(found, objects, num_classes=len(images.class_names))
    answer = {name: 100.0 * mean_over_classes(scores[definition]) for definition, name in NAMES.items()}
    for definition, name in NAMES.items():
        for class_name, value in zip(images.class_names, scores[definition], strict=True):
            if value == value:
                answer[name.removeprefix("m").replace("_pct", f"_{class_name}_pct")] = 100.0 * value
    return answer
