"""Average precision of detections, as PASCAL VOC defines it.

Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010, sections 4.2 (matching, eleven points), and
the challenge's development kits: eleven points of recall up to 2009, the whole area under the curve from 2010 on.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

# Detections have boxes (N, 4), labels (N,) and scores (N,); objects have boxes (M, 4), labels (M,) and difficult (M,).
# A box is [xmin, ymin, xmax, ymax] at the edges of pixels, so that xmax - xmin is its width.
Boxes = dict[str, Tensor]

# Tenths as divisions: a recall of 3 objects in 10 is then the very number it is compared with.
RECALLS = np.arange(11) / 10


def average_precision(
    detections: Sequence[Boxes], objects: Sequence[Boxes], *, num_classes: int, iou: float = 0.5
) -> dict[str, list[float]]:
    """The average precision of each class, 0 to 1, by both definitions: "eleven_points" and "area".

    One entry of `detections` and of `objects` for each image; labels are 0 to num_classes - 1. Not a number for a class
    without objects that count. Detections of equal scores count in the order in which they are given.
    """
    found: dict[str, list[float]] = {"eleven_points": [], "area": []}
    for label in range(num_classes):
        is_right, num_objects = judged(detections, objects, label=label, iou=iou)
        recall, precision = recall_and_precision(is_right, num_objects)
        for name, summed in DEFINITIONS.items():
            found[name].append(summed(recall, precision) if num_objects else float("nan"))
    return found


def mean_over_classes(values: Sequence[float]) -> float:
    """The mean over those classes that have objects; not a number where none has."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def judged(detections: Sequence[Boxes], objects: Sequence[Boxes], *, label: int, iou: float) -> tuple[np.ndarray, int]:
    """Whether each detection of a class is right, highest score first (N,), and how many objects count.

    A detection belongs to the object of its class that it overlaps most. It is right where that is by at least `iou`
    and nothing of a higher score has taken the object before. On a difficult object it is neither right nor wrong, and
    left out; difficult objects themselves do not count.
    """
    scores, verdicts = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
    num_objects = 0
    for found, there in zip(detections, objects, strict=True):
        ours, theirs = found["labels"] == label, there["labels"] == label
        difficult = there["difficult"][theirs].numpy()
        num_objects += int((~difficult).sum())
        order = torch.argsort(found["scores"][ours], descending=True, stable=True)
        overlaps = _overlaps(found["boxes"][ours][order], there["boxes"][theirs])
        scores.append(found["scores"][ours][order].double().numpy())
        verdicts.append(_verdicts(overlaps, difficult, iou))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    verdict = np.concatenate(verdicts)[order]
    return verdict[verdict >= 0] == 1, num_objects


def _verdicts(overlaps: np.ndarray, difficult: np.ndarray, iou: float) -> np.ndarray:
    """1 right, 0 wrong, -1 left out, for an image's detections (N, M) in the order of their scores."""
    verdicts = np.zeros(len(overlaps), dtype=np.int64)
    if not overlaps.shape[1]:
        return verdicts
    taken: set[int] = set()
    for row, (best, overlap) in enumerate(zip(overlaps.argmax(axis=1), overlaps.max(axis=1), strict=True)):
        if overlap < iou:
            continue
        if difficult[best]:
            verdicts[row] = -1
        elif best not in taken:
            verdicts[row] = 1
            taken.add(int(best))
    return verdicts


def _overlaps(ours: Tensor, theirs: Tensor) -> np.ndarray:
    """Intersection over union (N, M), in float64: a box that overlaps by exactly the limit is to be on its side."""
    from torchvision.ops import box_iou

    return box_iou(ours.double(), theirs.double()).numpy()


def recall_and_precision(is_right: np.ndarray, num_objects: int) -> tuple[np.ndarray, np.ndarray]:
    """After each detection, (N,) each: the share of the objects found, and of the detections that are right."""
    right = np.cumsum(is_right)
    return right / max(num_objects, 1), right / np.arange(1, len(right) + 1)


def eleven_points(recall: np.ndarray, precision: np.ndarray) -> float:
    """The mean over the recalls 0, 0.1, ..., 1 of the best precision at that recall or a higher one (VOC 2007)."""
    return float(np.mean([max(precision[recall >= wanted], default=0.0) for wanted in RECALLS]))


def area(recall: np.ndarray, precision: np.ndarray) -> float:
    """The area under the curve of the best precision at each recall or a higher one (VOC 2010 and later)."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best))


DEFINITIONS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"eleven_points": eleven_points, "area": area}
