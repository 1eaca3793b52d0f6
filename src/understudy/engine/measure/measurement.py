"""All that is measured of a network's answers to labelled images."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from understudy.engine.measure.calibration import Bin, bins, expected_calibration_error_pct


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How many images of a class there are, the share that is right, and what the wrong ones are mostly taken for.

    The share is None for a class without images, the other class None where nothing is wrong.
    """

    name: str
    num_images: int
    accuracy_pct: float | None
    taken_for: str | None
    taken_for_pct: float


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Shares in per cent, `nll` in nats: the mean negative log-likelihood of the labels, which is the cross-entropy.

    `top5_pct` is None for fewer than six classes. `confusion[i][j]` counts the images of class i taken for class j.
    """

    num_images: int
    accuracy_pct: float
    error_pct: float
    top5_pct: float | None
    nll: float
    mean_confidence_pct: float
    ece_pct: float
    calibration: list[Bin]
    per_class: list[ClassScore]
    confusion: list[list[int]]


@dataclass(frozen=True, kw_only=True)
class Alike:
    """How far a network answers as its teacher: the share of equal predictions, and KL(teacher || network) in nats."""

    equal_pct: float
    kl: float


def measure(logits_NK: Tensor, labels_N: Tensor, class_names: tuple[str, ...]) -> Measurement:
    """What these answers come to; every number is computed in float64."""
    log_probabilities = logits_NK.double().log_softmax(dim=1)
    confidence_N = log_probabilities.exp().amax(dim=1)
    predicted_N = logits_NK.argmax(dim=1)
    right_N = predicted_N == labels_N
    calibration = bins(confidence_N, right_N)
    num_classes = len(class_names)
    confusion = torch.bincount(labels_N * num_classes + predicted_N, minlength=num_classes**2)
    confusion_KK = confusion.view(num_classes, num_classes)
    return Measurement(
        num_images=len(labels_N),
        accuracy_pct=100.0 * int(right_N.sum()) / len(labels_N),
        error_pct=100.0 - 100.0 * int(right_N.sum()) / len(labels_N),
        top5_pct=_top5_pct(logits_NK, labels_N),
        nll=F.nll_loss(log_probabilities, labels_N).item(),
        mean_confidence_pct=100.0 * confidence_N.mean().item(),
        ece_pct=expected_calibration_error_pct(calibration),
        calibration=calibration,
        per_class=[_class_score(index, confusion_KK, class_names) for index in range(num_classes)],
        confusion=confusion_KK.tolist(),
    )


def measure_alike(student_logits_NK: Tensor, teacher_logits_NK: Tensor) -> Alike:
    """How far the student's answers are the teacher's on the same images, in the same order."""
    equal_N = student_logits_NK.argmax(dim=1) == teacher_logits_NK.argmax(dim=1)
    student, teacher = (logits.double().log_softmax(dim=1) for logits in (student_logits_NK, teacher_logits_NK))
    return Alike(
        equal_pct=100.0 * int(equal_N.sum()) / len(equal_N),
        kl=F.kl_div(student, teacher, reduction="batchmean", log_target=True).item(),
    )


def _top5_pct(logits_NK: Tensor, labels_N: Tensor) -> float | None:
    if logits_NK.shape[1] < 6:
        return None
    among = (logits_NK.topk(5, dim=1).indices == labels_N[:, None]).any(dim=1)
    return 100.0 * int(among.sum()) / len(labels_N)


def _class_score(index: int, confusion_KK: Tensor, class_names: tuple[str, ...]) -> ClassScore:
    counts = confusion_KK[index].clone()
    num_images, right = int(counts.sum()), int(counts[index])
    counts[index] = 0
    most = int(counts.argmax())
    return ClassScore(
        name=class_names[index],
        num_images=num_images,
        accuracy_pct=100.0 * right / num_images if num_images else None,
        taken_for=class_names[most] if counts[most] else None,
        taken_for_pct=100.0 * int(counts[most]) / num_images if num_images else 0.0,
    )
