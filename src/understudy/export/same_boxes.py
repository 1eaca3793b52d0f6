"""Whether an exported detector finds what the detector finds that it was made from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from understudy.export.same_answers import ExportError

# A detection is found again where a box of its class covers it to this share, with its score.
OVERLAP = 0.99
# Among boxes that are equally sure, rounding may choose another one to keep.
MOST_OTHERS = 0.01

# boxes (N, 4) and labels and scores (N,) in an image, pixels (3, H, W) in uint8.
Detections = tuple[Tensor, Tensor, Tensor]
Detect = Callable[[Tensor], Detections]


@dataclass(frozen=True, kw_only=True)
class SameBoxes:
    """How many of what the detector finds in `num_images` images the file finds as well."""

    num_images: int
    num_detections: int
    num_equal: int

    def in_words(self) -> str:
        """How the file's answers compare with the detector's."""
        return f"{self.num_equal:,} of {self.num_detections:,} detections in {self.num_images} test images are the same"


@torch.no_grad()
def compare_boxes(network: Detect, other: Detect, images: Iterable[Tensor], *, tolerance: float) -> SameBoxes:
    """Both detectors' answers to the same images, whichever order they are in.

    Raises ExportError where more than one detection in a hundred of either is not found by the other: a box of the same
    class, with an overlap of 0.99 and a score within `tolerance`. Likewise where there is none to compare.
    """
    pairs = [(network(pixels), other(pixels)) for pixels in images]
    num_detections, num_equal = _counted(pairs, tolerance)
    num_there, num_equal_there = _counted([(theirs, ours) for ours, theirs in pairs], tolerance)
    if not num_detections and not num_there:
        raise ExportError(f"the detector finds nothing in {len(pairs)} test images, so there is nothing to compare")
    for whose, count, found in (("the detector's", num_detections, num_equal), ("its own", num_there, num_equal_there)):
        if count - found > MOST_OTHERS * count:
            raise ExportError(
                f"{count - found} of {whose} {count} detections are not found on the other side (the same class, an "
                f"overlap of {OVERLAP}, a score within {tolerance:g})"
            )
    return SameBoxes(num_images=len(pairs), num_detections=num_detections, num_equal=num_equal)


def _counted(pairs: Sequence[tuple[Detections, Detections]], tolerance: float) -> tuple[int, int]:
    """How many detections the first of each pair has, and how many of them the second has too."""
    return sum(len(one[2]) for one, _ in pairs), sum(_num_found(one, another, tolerance) for one, another in pairs)


def _num_found(one: Detections, another: Detections, tolerance: float) -> int:
    """How many detections of one are among those of another."""
    from torchvision.ops import box_iou

    (boxes, labels, scores), (others, their_labels, their_scores) = one, another
    if not len(scores) or not len(their_scores):
        return 0
    alike = box_iou(boxes.double(), others.double()) >= OVERLAP
    alike &= (labels[:, None] == their_labels) & ((scores[:, None] - their_scores).abs() <= tolerance)
    return int(alike.any(dim=1).sum())
