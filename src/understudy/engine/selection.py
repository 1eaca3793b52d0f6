"""Which training images a method that selects looks at: decided once, before training."""

from collections.abc import Collection

import torch
from torch import Tensor

from understudy.data import BoxedImages, Dataset, batches_in_order
from understudy.distiller import Distiller
from understudy.distiller.comparisons import chosen_options
from understudy.engine.records.record import Record
from understudy.methods import LOGITS, Term
from understudy.modes import evaluating
from understudy.precision import Precision
from understudy.spec import kind_of
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
        features = _features(distiller, distiller.sites[term.name][-1].teacher.name, data, precision)
        chosen = _chosen(term, features, data.train.labels)
        keep &= chosen
        found = found_wrong(chosen, data.mislabelled) if data.mislabelled else {}
        record.write("selection", term=term.name, kept=int(chosen.sum()), images=len(chosen), **found)
    return keep.to(precision.device)


def _chosen(term: Term, features: Tensor, labels: Tensor) -> Tensor:
    """A truth value for each image (N,), on the processor. ValueError for any other answer of the term's function."""
    assert term.select is not None
    chosen = term.select(features, labels, **chosen_options(term.select, term))
    if not isinstance(chosen, Tensor) or chosen.dtype != torch.bool or chosen.shape != labels.shape:
        found = f"{chosen.dtype} of shape {tuple(chosen.shape)}" if isinstance(chosen, Tensor) else kind_of(chosen)
        raise ValueError(
            f"{term.name}: select answered {found}; expected a truth value for each image, torch.bool of shape "
            f"{tuple(labels.shape)}"
        )
    return chosen.cpu()


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
    """What the teacher has there for all training images, unaugmented and in order: vectors (N, d), maps or logits."""
    assert distiller.teacher is not None
    read = [] if position == LOGITS else [position]
    batches = batches_in_order(
        data.train, data, batch_size=BATCH_SIZE, device=precision.device, channels_last=precision.channels_last
    )
    example = torch.zeros(2, *data.image_shape, device=precision.device)
    with (
        Tapped(distiller.teacher, read, example) as reader,
        evaluating(distiller.teacher),
        precision.autocast(),
    ):
        answers = (reader(images) for images, _ in batches)
        return torch.cat([(found[position] if read else logits).float().cpu() for logits, found in answers])
