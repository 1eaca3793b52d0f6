"""What boxes ask of a backbone: torchvision's four losses of Faster R-CNN, whose layers learn beside it."""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList

from understudy.data import Target
from understudy.tasks.detection.backbone import Backbone


class DetectionObjective(nn.Module):
    """Maps and targets -> the sum of the losses of proposals and of regions, for objects and for boxes, unweighted.

    `rpn` and `roi_heads` are a detector's own; `assembled` puts them together with a backbone again. Proposals are
    drawn from torch's global generator, as torchvision does.
    """

    def __init__(self, detector: FasterRCNN, size: int):
        super().__init__()
        self.rpn = detector.rpn
        self.roi_heads = detector.roi_heads
        self.transform = detector.transform
        self.size = size

    def forward(self, features: dict[str, Tensor], targets: list[Target]) -> Tensor:
        wanted = [{"boxes": t["boxes"], "labels": t["labels"] + 1} for t in targets]
        sizes = [(int(t["size"][0]), int(t["size"][1])) for t in targets]
        # Sums over thousands of anchors: in float32 whatever the backbone computes in.
        maps = {name: feature.float() for name, feature in features.items()}
        device = next(iter(maps.values())).device
        # Of the images only the shape is asked for.
        images = ImageList(torch.empty(len(targets), 3, self.size, self.size, device="meta"), sizes)
        with torch.autocast(device.type, enabled=False):
            proposals, of_proposals = self.rpn(images, maps, wanted)
            # What the maps show is the whole square: from an image's own height the scale of a wide one would be wrong,
            # and that of the first batch is kept for good.
            squares = [(self.size, self.size)] * len(targets)
            _, of_regions = self.roi_heads(maps, proposals, squares, wanted)
        return torch.stack([*of_proposals.values(), *of_regions.values()]).sum()


def assembled(backbone: nn.Module, objective: Any) -> GeneralizedRCNN:
    """The whole detector: `assembled(...)(images)` as torchvision's."""
    assert isinstance(backbone, Backbone) and isinstance(objective, DetectionObjective)
    detector = GeneralizedRCNN(backbone, objective.rpn, objective.roi_heads, objective.transform)
    return detector.train(backbone.training)
