"""Which training images a method that selects looks at: decided once, before training."""

from collections.abc import Collection

import torch
from torch import Tensor

from understudy.data import BoxedImages, Dataset, batches_in_order
from understudy.distiller import Distiller
from understudy.distiller.comparisons import chosen_options
from understudy.engine.records.record import Record
from understudy.modes import evaluating
from understudy.precision import Precision
from understudy.taps import Tapped

BATCH_SIZE = 256


def select_images(distiller: Distiller, data: Dataset, precision: Precision, record: Record) -> Tensor | None:
    """A truth value for each training image, from the teacher's features of the clean images; None for all."""
    selecting = [term for term in distiller.method.terms if term.select is not None]
    if not selecting or distiller.teacher is None:
        return None
    assert not isinstance(data.train, BoxedImages)  # the task has refused such terms
    keep = torch.ones(len(data.train), dtype=torch.bool)
    for term in selecting:
        assert term.select is not None
        features = _features(distiller, distiller.sites[term.name][-1].teacher.name, data, precision)
        chosen = term.select(features, data.train.labels, **chosen_options(term.select, term))
        keep &= chosen.cpu()
        found = found_wrong(chosen.cpu(), data.mislabelled) if data.mislabelled else {}
        record.write("selection", term=term.name, kept=int(chosen.sum()), images=len(chosen), **found)
    return keep.to(precision.device)


def found_wrong(keep: Tensor, mislabelled: Collection[int]) -> dict[str, int | float | None]:
    """How well the images that are not kept (N,) are those with a wrong label, whose places are given.

    Precision is the share of the dropped images that are mislabelled, None where none is dropped; recall the share of
    the mislabelled ones that are dropped.
    """
    is_wrong = torch.zeros(len(keep), dtype=torch.bool)
    is_wrong[list(mislabelled)] = True
    dropped, caught = int((~keep).sum()), int((is_wrong & ~keep).sum())
    return {
        "mislabelled": len(mislabelled),
        "mislabelled_dropped": caught,
        "precision_pct": 100.0 * caught / dropped if dropped else None,
        "recall_pct": 100.0 * caught / len(mislabelled),
    }


@torch.no_grad()
def _features(distiller: Distiller, position: str, data: Dataset, precision: Precision) -> Tensor:
    """The teacher's vectors (N, d) of all training images, unaugmented and in order."""
    assert distiller.teacher is not None
    batches = batches_in_order(
        data.train, data, batch_size=BATCH_SIZE, device=precision.device, channels_last=precision.channels_last
    )
    example = torch.zeros(2, *data.image_shape, device=precision.device)
    with (
        Tapped(distiller.teacher, [position], example) as reader,
        evaluating(distiller.teacher),
        precision.autocast(),
    ):
        return torch.cat([reader(images)[1][position].float().cpu() for images, _ in batches])
