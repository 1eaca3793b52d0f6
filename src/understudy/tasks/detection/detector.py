"""Faster R-CNN on a backbone, as torchvision has it.

Ren et al., "Faster R-CNN", NeurIPS 2015. The answer is torchvision's own GeneralizedRCNN: it takes a list of images in
0 to 1 of any sizes, and answers boxes, labels (1 for the first class; 0 is the background) and scores.
"""

from collections.abc import Sequence

from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from understudy.spec import DetectionSettings
from understudy.tasks.detection.backbone import Backbone

# torchvision's anchors are of 32, 64, ... 512 pixels in images of this longer side; others follow in proportion.
ANCHORS, AT_SIZE = (32, 64, 128, 256, 512), 800
RATIOS = (0.5, 1.0, 2.0)
CELLS = 7  # of a region, a side, as its classifier sees it


def make_detector(
    backbone: Backbone,
    wanted: DetectionSettings,
    *,
    num_classes: int,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> FasterRCNN:
    """The detector, with random weights beside the backbone from torch's global generator.

    `num_classes` are those of the data, without the background; `size` is the longer side to which images are brought,
    `mean` and `std` are in units of 0..255.
    """
    levels = [str(level) for level in range(len(backbone.positions))]
    sizes = tuple(max(1, round(side * size / AT_SIZE)) for side in ANCHORS)
    width = wanted.head
    return FasterRCNN(
        backbone,
        min_size=size,
        max_size=size,
        image_mean=[value / 255 for value in mean],
        image_std=[value / 255 for value in std],
        rpn_anchor_generator=_anchors(sizes, len(levels) + (backbone.fpn is not None)),
        box_roi_pool=MultiScaleRoIAlign(levels, output_size=CELLS, sampling_ratio=2),
        box_batch_size_per_image=wanted.regions,
        box_head=TwoMLPHead(backbone.out_channels * CELLS**2, width),
        box_predictor=FastRCNNPredictor(width, num_classes + 1),
    )


def _anchors(sizes: tuple[int, ...], num_maps: int) -> AnchorGenerator:
    """One size for each of five maps; where there are fewer, all sizes on each, as in torchvision's MobileNet."""
    per_map = tuple((one,) for one in sizes) if num_maps == len(sizes) else (sizes,) * num_maps
    return AnchorGenerator(per_map, (RATIOS,) * num_maps)
