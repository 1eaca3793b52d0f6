"""Measuring a detector on disk."""

import json
import time
from typing import Any

from understudy.data import BoxedImages, Dataset
from understudy.engine import facts
from understudy.engine.subject import Found, some
from understudy.precision import Precision, choose_device
from understudy.spec import DetectionSettings


def is_detector(found: Found) -> bool:
    """Whether the file holds a detector, as it says itself."""
    return "detection" in found.metadata


def assess_detector(found: Found, data: Dataset, split: str) -> dict[str, Any]:
    """Its mean average precision and each class's, by both definitions, in float32; as JSON knows values.

    Raises ValueError where the data have no boxes, other classes or no such split.
    """
    # Detection takes seconds to import: only where it is asked for.
    import torch

    from understudy.tasks.detection import detection, load_detector

    images = {"train": data.train, "validation": data.validation, "test": data.test}[split]
    if not isinstance(images, BoxedImages):
        what = f"has no {split} images here" if images is None else "has no boxes"
        raise ValueError(f"{data.name} {what}; a detector is measured on images with boxes")
    names = json.loads(found.metadata.get("class_names", "[]"))
    if tuple(names) != images.class_names:
        raise ValueError(
            f"{found.file} knows {some(names)}, {data.name} has {some(images.class_names)}; it has to know the same in "
            "the same order"
        )
    device = choose_device("auto")
    precision = Precision(device=device, dtype=torch.float32, channels_last=False, compile=False)
    detector = precision.place(load_detector(found.file, found.model))
    task = detection(DetectionSettings())
    started = time.perf_counter()
    scores = task.measure(detector, images, data, precision)
    asked_s = time.perf_counter() - started
    return {
        "model": found.model,
        "file": str(found.file),
        "sha256": facts.sha256(found.file),
        "parameters": facts.num_parameters(detector),
        "data": data.name,
        "data_sha256": data.fingerprint(),
        "split": split,
        "num_images": len(images),
        "scores": scores,
        "headline": task.headline,
        "per_class": _per_class(scores, images),
        "images_per_s": len(images) / asked_s,
        "precision": precision.facts(),
        "runtime": "torch",
        "command": facts.command(),
        "versions": facts.versions(),
        "hardware": facts.hardware(device),
    }


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
