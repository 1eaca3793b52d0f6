"""A detector on disk: its tensors as safetensors, and in the file's words what it takes to build it again."""

import json
from pathlib import Path

import torch
from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from understudy.models import build, load_weights, model_said, read_metadata
from understudy.spec import DetectionSettings
from understudy.spec.run_files import STUDENT
from understudy.tasks.detection.backbone import Backbone
from understudy.tasks.detection.detector import make_detector

KEY = "detection"


def metadata(detector: nn.Module, *, wanted: DetectionSettings) -> dict[str, str]:
    """What the file of a detector says beside what a student's says: its settings, positions included."""
    backbone = detector.backbone
    assert isinstance(backbone, Backbone)
    return {KEY: wanted.model_copy(update={"positions": backbone.positions}).model_dump_json()}


def load_detector(path: str | Path, model: str | None = None) -> GeneralizedRCNN:
    """The detector of a run's folder or of its student.safetensors, in eval mode: torchvision's own module.

    `model` is the name of its classifier, for a run that was given a network of one's own (package.module:function).

    `detector([image, ...])` takes images (3, H, W) in 0 to 1, of any sizes, and answers boxes, labels (1 is the first
    class) and scores of each. Raises ValueError where the file holds no detector.
    """
    path = Path(path) / STUDENT if Path(path).is_dir() else Path(path)
    said = read_metadata(path) if path.is_file() else {}
    if KEY not in said:
        raise ValueError(f"{path} holds no detector; give the folder of a run with settings of detection")
    wanted = DetectionSettings.model_validate_json(said[KEY])
    size, names = int(said["height"]), json.loads(said["class_names"])
    with torch.random.fork_rng(devices=[]):  # the random weights are overwritten
        name = model or model_said(path, said) or ""
        network = build(name, num_classes=len(names), in_channels=int(said["in_channels"]))
        backbone = Backbone(
            network,
            torch.zeros(2, int(said["in_channels"]), size, size),
            positions=wanted.positions,
            pyramid=wanted.channels if wanted.fpn else None,
        )
        detector = make_detector(
            backbone,
            wanted,
            num_classes=len(names),
            size=size,
            mean=json.loads(said["mean"]),
            std=json.loads(said["std"]),
        )
    load_weights(detector, path)
    return detector.eval()
