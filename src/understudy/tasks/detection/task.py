"""Detection as a task of a run: boxes around objects, and how many of them are found."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from understudy.data import BoxedImages, Dataset
from understudy.methods import LOGITS, Method
from understudy.models import build, load_weights, read_metadata
from understudy.spec import DetectionSettings, TeacherSettings
from understudy.tasks.detection.backbone import Backbone
from understudy.tasks.detection.detector import make_detector
from understudy.tasks.detection.drawing import draw
from understudy.tasks.detection.file import KEY, load_detector, metadata
from understudy.tasks.detection.measure import measure
from understudy.tasks.detection.objective import DetectionObjective, assembled
from understudy.tasks.task import Task

HEADLINE = "map_pct"


def detection(wanted: DetectionSettings) -> Task:
    """The task with these settings: a student is cut off where the detector reads it."""
    return Task(
        name="detection",
        headline=HEADLINE,
        check_data=_check_data,
        labels_title="Boxes",
        answers_classes=False,
        tied="a detector's losses",
        compiles=False,  # how many boxes there are differs from step to step
        adapt=partial(_adapt, wanted=wanted),
        build_teacher=partial(_build_teacher, wanted=wanted),
        check_method=_check_method,
        check_output=_check_output,
        can_measure=lambda output, data: True,  # `build_teacher` says it
        make_objective=partial(_make_objective, wanted=wanted),
        assemble=assembled,
        metadata=partial(metadata, wanted=wanted),
        measure=measure,
        draw=draw,
    )


def _check_data(data: Dataset) -> None:
    if not isinstance(data.train, BoxedImages):
        raise ValueError(f"{data.name} has no boxes, and detection.* asks for them; leave it out, or choose voc2007")
    for part, images in (("train", data.train), ("test", data.test), ("validation", data.validation)):
        if isinstance(images, BoxedImages):
            check_objects(data.name, part, images, "learn" if part == "train" else "measure")


def check_objects(name: str, part: str, images: BoxedImages, purpose: str) -> None:
    """ValueError for images on which no object counts."""
    if all(bool(each.difficult.all()) for each in images.objects):
        raise ValueError(
            f"{name}: no object of {part} counts (there is none, or all are marked difficult), so there is nothing to "
            f"{purpose}; look at the annotations"
        )


def _adapt(make: Callable[[], nn.Module], example: Tensor, *, wanted: DetectionSettings) -> nn.Module:
    """The network as a backbone for images like these."""
    return Backbone(
        make(),
        example,
        positions=wanted.positions,
        pyramid=wanted.channels if wanted.fpn else None,
    )


def _build_teacher(
    teachers: Sequence[TeacherSettings], data: Dataset, *, wanted: DetectionSettings
) -> tuple[nn.Module, nn.Module | None]:
    """What is read: a detector's backbone, or a classifier cut off like the student. And the whole detector, if any."""
    if len(teachers) > 1:
        raise ValueError(f"found {len(teachers)} teachers; a detector learns from the features of one")
    one = teachers[0]
    assert one.weights is not None
    said = read_metadata(one.weights) if one.weights.is_file() else {}
    _check_pixels(one, said, data)
    if KEY in said:
        detector = load_detector(one.weights, one.model)
        assert isinstance(detector.backbone, nn.Module)
        knows = tuple(json.loads(said["class_names"])) == data.train.class_names
        return detector.backbone, detector if knows else None
    network = build(one.model, num_classes=data.num_classes, in_channels=data.image_shape[0])
    load_weights(network, one.weights, one.rename, num_classes=data.num_classes)
    return _adapt(lambda: network, torch.zeros(2, *data.image_shape), wanted=wanted), None


def _check_pixels(teacher: TeacherSettings, said: Mapping[str, str], data: Dataset) -> None:
    """ValueError for a teacher of other pixels than the student's: features are read of both in one normalisation."""
    if teacher.size is not None:
        raise ValueError(f"teacher.size={teacher.size}: a detector's teacher sees the student's images; give data.size")
    for key, ours, wanted in (("mean", data.mean, teacher.mean), ("std", data.std, teacher.std)):
        own = tuple(255.0 * value for value in wanted) if wanted else tuple(json.loads(said.get(key, "null")) or ours)
        if not np.allclose(own, ours, rtol=1e-4):
            numbers = ",".join(f"{value / 255:.4g}" for value in own)
            raise ValueError(
                f"teacher {teacher.model} was trained on images with another {key} than {data.name} has here, and a "
                f"detector's teacher sees the student's images; add data.{key}=[{numbers}]"
            )


def _check_method(method: Method) -> None:
    """Detectors have no logits of an image, and an image no one label."""
    for term in method.terms:
        if LOGITS in (term.tap, term.teacher_tap) or term.inputs is not None or term.select is not None:
            raise ValueError(
                f"{term.name} compares what networks answer to an image, and detectors share features only; "
                f"choose a method that reads positions, such as at, fitnet, nst, ab or ofd"
            )


def _check_output(role: str, output: Any, data: Dataset) -> None:
    if not isinstance(output, dict) or not all(isinstance(one, Tensor) and one.ndim == 4 for one in output.values()):
        raise ValueError(
            f"the {role} answers {type(output).__name__}, expected feature maps by name; "
            f"understudy.tasks.detection.Backbone(network, images) makes them of a classifier"
        )


def _make_objective(
    student: nn.Module, example: Tensor, data: Dataset, *, wanted: DetectionSettings
) -> DetectionObjective:
    assert isinstance(student, Backbone)
    size = example.shape[-1]
    detector = make_detector(student, wanted, num_classes=data.num_classes, size=size, mean=data.mean, std=data.std)
    return DetectionObjective(detector, size)
