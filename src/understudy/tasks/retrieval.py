"""Retrieval: embeddings of images, and how often the nearest ones show the same class."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from understudy.data import BoxedImages, Dataset, Images, batches_in_order, training_batches
from understudy.methods import LOGITS, Method
from understudy.models import Form, Head, HeadsOnTrunk, embed, end_of, ensemble
from understudy.modes import evaluating
from understudy.precision import Precision
from understudy.spec import RetrievalSettings
from understudy.tasks.metric_losses import OfParts, check_loss, is_tied, make_loss, needs_pairs
from understudy.tasks.recall import recall_pct
from understudy.tasks.task import Objective, Task, refuse_boxes

IMAGES_PER_CLASS = 4


def retrieval(settings: RetrievalSettings) -> Task:
    """The task of these settings. Raises ValueError for a loss that there is not."""
    check_loss(settings.loss, settings.miner)
    usual = IMAGES_PER_CLASS if needs_pairs(settings.loss) else 0
    per_class = usual if settings.images_per_class is None else settings.images_per_class
    return Task(
        name="retrieval",
        headline=f"recall_at_{settings.at[0]}_pct",
        check_data=_check_data,
        check_method=_check_method,
        check_output=_check_output,
        can_measure=lambda output, data: isinstance(output, Tensor) and output.ndim == 2,
        make_objective=partial(_make_objective, settings),
        measure=partial(_measure, settings),
        adapt=partial(_adapt, settings),
        labels_title=settings.loss.replace("_", "-").capitalize(),
        rates=_rates,
        answers_classes=False,
        output="embedding",
        images_per_class=per_class,
        tied="losses of pairs of images" if is_tied(settings.loss) else "",
        make_batches=partial(training_batches, images_per_class=per_class),
    )


def form_of(settings: RetrievalSettings) -> Form:
    """What the settings make of a network."""
    heads, shared = ensemble(settings.ensemble) if settings.ensemble != "none" else ((), "layer2")
    own = tuple(Head(blocks=one.blocks, stride=one.stride, rate=one.rate) for one in settings.heads)
    return Form(length=settings.length, heads=own or heads, shared=settings.shared or shared, feature=settings.feature)


def _adapt(settings: RetrievalSettings, make: Callable[[], nn.Module], example: Tensor) -> nn.Module:
    return embed(make, form_of(settings), example)


def _rates(student: nn.Module) -> dict[str, float]:
    """Those of an ensemble's heads, each with its own loss."""
    if not isinstance(student, HeadsOnTrunk):
        return {}
    losses = {f"objective.losses.{number}": head.rate for number, head in enumerate(student.unit.form.heads)}
    return {**student.rates, **losses}


def _check_data(data: Dataset) -> None:
    refuse_boxes(data)
    for part, queries in (("test", data.test), ("validation", data.validation)):
        if queries is None or isinstance(queries, BoxedImages):
            continue
        others = data.gallery if part == "test" else None
        if not _has_pairs(queries.labels, None if others is None or isinstance(others, BoxedImages) else others.labels):
            raise ValueError(
                f"{data.name}: no {part} image has another one of its class to be found, so there is no recall to "
                "measure; give classes of two images or more"
            )


def _has_pairs(labels_Q: Tensor, gallery_labels_N: Tensor | None) -> bool:
    """Whether any query has an image of its class in the gallery, or among the others where there is none."""
    if gallery_labels_N is not None:
        return bool(torch.isin(labels_Q, gallery_labels_N).any())
    return bool((labels_Q.unique(return_counts=True)[1] > 1).any())


def _check_method(method: Method) -> None:
    for term in method.terms:
        if LOGITS in (term.tap, term.teacher_tap) or term.inputs is not None:
            raise ValueError(
                f"{term.name} compares logits, and an embedding network has none; choose a method that compares "
                f"features or relations, as rkd, at, nst or fitnet"
            )


def _check_output(role: str, output: Any, data: Dataset) -> None:
    if not isinstance(output, Tensor) or output.ndim != 2:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"the {role} answers {found} to one image, expected one vector: (1, numbers)")


def _make_objective(settings: RetrievalSettings, student: nn.Module, example: Tensor, data: Dataset) -> Objective:
    """A loss for each part of the student's embedding."""
    end = end_of(student)
    parts = end.parts if end is not None else (_length(student, example),)
    losses = [make_loss(settings.loss, settings.options, data.num_classes, length, settings.miner) for length in parts]
    return OfParts(losses, parts)


@torch.no_grad()
def _length(student: nn.Module, example: Tensor) -> int:
    """How long the vectors of a network of the user's own are."""
    with evaluating(student):
        return student(example).shape[1]


def _measure(
    settings: RetrievalSettings, network: nn.Module, images: Images, data: Dataset, precision: Precision
) -> dict[str, float]:
    with evaluating(network):
        return search(network, images, data, precision, at=settings.at, flip=settings.flip)


def search(
    answer: Callable[[Tensor], Tensor],
    images: Images,
    data: Dataset,
    precision: Precision,
    *,
    at: tuple[int, ...],
    flip: bool,
    as_input: Callable[[Tensor], Tensor] = lambda images: images,
) -> dict[str, float]:
    """Recall@K of the images, searched in the set's gallery if it has one for them, else among themselves.

    `answer` is a network in evaluation mode, or what else answers batches of images that `as_input` was applied to.
    """
    ask = partial(embeddings_of, answer, data=data, precision=precision, flip=flip, as_input=as_input)
    queries, labels = ask(images)
    gallery, gallery_labels = ask(data.gallery) if data.gallery is not None and images is data.test else (None, None)
    found = recall_pct(queries, labels, at, gallery, gallery_labels)
    return {f"recall_at_{k}_pct": value for k, value in found.items()}


@torch.no_grad()
def embeddings_of(
    answer: Callable[[Tensor], Tensor],
    images: Images,
    *,
    data: Dataset,
    precision: Precision,
    flip: bool,
    as_input: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """(N, d) in float32 and the labels (N,), in order; with `flip` the sum of an image's and its mirror's.

    Each is of unit length, as the network answers it.
    """
    vectors, labels = [], []
    for batch, batch_labels in batches_in_order(
        images, data, device=precision.device, channels_last=precision.channels_last
    ):
        views = (batch, batch.flip(3)) if flip else (batch,)
        with precision.autocast():
            vectors.append(torch.stack([answer(as_input(view)).float() for view in views]).sum(dim=0))
        labels.append(batch_labels)
    return torch.cat(vectors), torch.cat(labels)
