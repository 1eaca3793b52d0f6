"""Measuring a detector on disk."""

import json
from typing import Any

import torch
from torch import nn

from understudy.data import BoxedImages, Dataset
from understudy.engine import facts
from understudy.engine.evaluate.subject import Found, Subject, part_of, some
from understudy.precision import Precision, choose_device


def is_detector(found: Found) -> bool:
    """Whether the file holds a detector, as it says itself."""
    return "detection" in found.metadata


def make_detector_ready(found: Found, data: Dataset) -> Subject:
    """The detector in float32. Raises ValueError for data without boxes or with other classes than it knows."""
    # Detection takes seconds to import: only where it is asked for.
    from understudy.tasks.detection import load_detector

    if not isinstance(data.train, BoxedImages):
        raise ValueError(f"{data.name} has no boxes; a detector is measured on images with boxes")
    names = json.loads(found.metadata.get("class_names", "[]"))
    if tuple(names) != data.train.class_names:
        raise ValueError(
            f"{found.file} knows {some(names)}, {data.name} has {some(data.train.class_names)}; it has to know the "
            "same in the same order"
        )
    precision = Precision(device=choose_device("auto"), dtype=torch.float32, channels_last=False, compile=False)
    detector = precision.place(load_detector(found.file, found.model))
    return Subject(
        found=found,
        answer=detector,
        precision=precision,
        parameters=facts.num_parameters(detector),
        mean=data.mean,
        std=data.std,
    )


def measure_detection(subject: Subject, data: Dataset, split: str) -> tuple[dict[str, Any], int]:
    """Its mean average precision and each class's, by both definitions, and COCO's; how many images there are."""
    from understudy.tasks.detection import HEADLINE, check_objects, coco_scores, detect, scores_of

    images = part_of(data, split)
    assert isinstance(images, BoxedImages) and isinstance(subject.answer, nn.Module)
    check_objects(data.name, split, images, "measure")
    with subject.precision.autocast():
        found = [*detect(subject.answer, images, subject.precision.device)]
    scores = scores_of(found, images)
    measured = {
        "num_images": len(images),
        "scores": scores,
        "headline": HEADLINE,
        "coco": coco_scores(found, images),
        "per_class": _per_class(scores, images),
    }
    return measured, len(images)


def _per_class(scores: dict[str, float], images: BoxedImages) -> list[dict[str, Any]]:
    """Each class with its objects and its average precision by both definitions, None where nothing counts."""
    counted = [0] * len(images.class_names)
    for each in images.objects:
        for label in each.labels[~each.difficult].tolist():
            counted[label] += 1
    return [
        {
            "name": name,
            "num_objects": number,
            "ap_pct": scores.get(f"ap_{name}_pct"),
            "ap_area_pct": scores.get(f"ap_area_{name}_pct"),
        }
        for name, number in zip(images.class_names, counted, strict=True)
    ]
