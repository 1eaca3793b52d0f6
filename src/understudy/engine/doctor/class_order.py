"""Would the teacher's answers fit if its classes stood in another order?"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from understudy.engine.doctor.finding import Finding
from understudy.engine.doctor.odds import FEWEST_IMAGES, is_better
from understudy.engine.doctor.views import as_member
from understudy.spec import as_word, few

CHECK = "order of classes"
ODDS = 1e-6
LOWEST_SHARE = 0.3


def class_order(
    title: str, setting: str, predicted: Tensor, labels: Tensor, names: tuple[str, ...], *, reorders: bool = False
) -> list[Finding]:
    """An error where another order of the teacher's classes makes far more of its answers right.

    Rule: the order that makes most answers right on one half of the images is tried on the other half. Of the images
    whose classes it moves, at least 30 % and twice as many as before have to be right then, and the gain must not be
    chance (sign test, 1e-6).
    """
    if len(labels) < FEWEST_IMAGES:
        return []
    order = best_order(predicted, labels, len(names))
    moved = order != torch.arange(len(names))
    is_moved = moved[labels]
    if not is_moved.any():
        return []
    mapped = mapped_by_the_other_half(predicted, labels, len(names))
    before, after = ((answers == labels)[is_moved].double().mean() for answers in (predicted, mapped))
    if after < LOWEST_SHARE or after < 2 * before or not is_better(mapped, predicted, labels, ODDS):
        return []
    was, would = (100 * (answers == labels).double().mean() for answers in (predicted, mapped))
    own = [names[label] for label in order.tolist()]
    answers = few(f"{names[index]!r} means {own[index]!r}" for index in range(len(names)) if moved[index])
    return [
        Finding(
            check=CHECK,
            severity="error",
            found=f"{title} is right on {was:.1f} % of {len(labels):,} test images, and on {would:.1f} % if its "
            f"classes stand in another order: its answer {answers}.",
            why="It would teach the student wrong names.",
            do=_order_in_words(setting, own, order, reorders),
        )
    ]


def best_order(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Which label each answer has to be taken for, each label once, so that most are right: (classes,)."""
    # Classes that no image has and no answer names stay where they are: 20,000 of them would fill memory with pairs.
    seen, places = torch.cat([predicted, labels]).unique(return_inverse=True)
    size = len(seen)
    answered, there = places.split(len(labels))
    confusion = torch.bincount(answered * size + there, minlength=size**2).double().view(size, size)
    # Of equally good orders the one that moves fewest; all that this adds is less than one image.
    confusion += torch.eye(size) * (0.5 / size)
    _, taken_for = linear_sum_assignment(confusion.numpy(), maximize=True)
    order = torch.arange(num_classes)
    order[seen] = seen[torch.from_numpy(taken_for)]
    return order


def mapped_by_the_other_half(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Each half of the answers in the order that fits the other half: an order that fits by accident gains nothing."""
    mapped = predicted.clone()
    # Drawn: every second image would be of every second class where the classes come in turn.
    halves = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).tensor_split(2)
    for fitted, other in (halves, halves[::-1]):
        mapped[other] = best_order(predicted[fitted], labels[fitted], num_classes)[predicted[other]]
    return mapped


def _order_in_words(setting: str, own: list[str], order: Tensor, reorders: bool) -> str:
    if not setting:
        # A member says of each class which of its answers means it, which is the other way round.
        return as_member(classes=tuple(order.argsort().tolist()))
    if reorders:
        return f"{setting}.class_names is not the order in which its classes stand; correct it"
    return as_word(f"{setting}.class_names", own)
