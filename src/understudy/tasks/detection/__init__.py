"""Object detection: torchvision's Faster R-CNN on any network that is cut off where it is read.

`detection(settings)` is the task, `load_detector` reads a finished run's detector, `average_precision` is VOC's metric.
"""

from understudy.tasks.detection.average_precision import average_precision, mean_over_classes
from understudy.tasks.detection.backbone import Backbone
from understudy.tasks.detection.by_coco import coco_scores
from understudy.tasks.detection.file import load_detector
from understudy.tasks.detection.measure import detect, scores_of
from understudy.tasks.detection.task import HEADLINE, check_objects, detection

__all__ = [
    "HEADLINE",
    "Backbone",
    "average_precision",
    "check_objects",
    "coco_scores",
    "detect",
    "detection",
    "load_detector",
    "mean_over_classes",
    "scores_of",
]
