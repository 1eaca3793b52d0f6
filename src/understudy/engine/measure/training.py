"""What is measured of a student while it trains, and once it has."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from understudy.data import Dataset, Images, batches_in_order
from understudy.distiller import Distiller
from understudy.engine.measure.agreement import Agreement
from understudy.engine.measure.scores import scores_on
from understudy.engine.plan import Plan
from understudy.precision import Precision

# On which the agreement is measured, in one batch: as many images of 64x64, fewer larger ones.
AGREEMENT_IMAGES = 512
AGREEMENT_PIXELS = AGREEMENT_IMAGES * 64 * 64


def make_agreement(
    student: nn.Module, teacher: nn.Module | None, distiller: Distiller, example: Tensor
) -> Agreement | None:
    """The measure of equal activations; None where the networks have no positions that can be compared."""
    if teacher is None:
        return None
    try:
        return Agreement(student, teacher, distiller, example)
    except ValueError:
        # A pair without comparable positions can still be distilled by its logits; only this measure is lost.
        return None


def measure_epoch(
    plan: Plan, agreement: Agreement | None, precision: Precision, distiller: Distiller
) -> dict[str, Any]:
    """What the log keeps after an epoch: the scores where the output is being trained, and the agreement."""
    data, scores = plan.data, None
    split, images = ("test", data.test) if data.validation is None else ("validation", data.validation)
    if distiller.phase.labels or any(term.tap == plan.task.output for term in distiller.phase.terms):
        scores = {split: scores_on(plan.task, plan.assembled, images, data, precision)}
    return {"scores": scores, "agreement": agree(agreement, images, data, precision)}


def agree(agreement: Agreement | None, images: Images, data: Dataset, precision: Precision) -> dict[str, float] | None:
    """The share of equal activations at each layer on some of these images of the data, if it can be measured."""
    if agreement is None:
        return None
    _, height, width = data.image_shape
    count = min(AGREEMENT_IMAGES, max(1, AGREEMENT_PIXELS // (height * width)), len(images))
    # Evenly spaced: sets may be sorted by class.
    chosen = torch.arange(count) * len(images) // count
    # So few are decoded before a worker process has started.
    here = replace(data, workers=0)
    batch, _ = next(batches_in_order(images.subset(chosen), here, batch_size=count, device=precision.device))
    return agreement.measure(batch, precision) or None
