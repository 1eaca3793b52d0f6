"""Terms that look at images of their own making, as BSS at those on the teacher's boundaries."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from understudy.distiller.comparisons import chosen_options
from understudy.methods import LOGITS, Term
from understudy.modes import running_statistics

Logits = dict[str, Tensor]


def answers_to_made(
    term: Term, networks: tuple[nn.Module, nn.Module], images: Tensor, labels: Tensor, answers: tuple[Tensor, Tensor]
) -> tuple[Logits, Logits, int]:
    """Student's and teacher's logits on the images that the term makes from the batch, and how many these are.

    `answers` are both networks' logits on the batch (B, K); `labels` are classes (B,) or soft ones (B, K).
    """
    assert term.inputs is not None
    student, teacher = networks
    # Of a soft label the likeliest class.
    classes = labels if labels.ndim == 1 else labels.argmax(dim=1)
    known = [answer.detach() for answer in answers]
    # On running statistics, whatever the mode: an image's boundary is not to depend on those beside it.
    with running_statistics(teacher):
        made = term.inputs(teacher, images.detach(), classes, *known, **chosen_options(term.inputs, term))
        if len(made) == 0:
            return nothing_made(answers)
        with torch.no_grad():
            wanted = teacher(made.clone())  # it may write into what it is given
    # One image has no statistics of its own where a map is a single place.
    with running_statistics(student) if len(made) == 1 else nullcontext():
        return {LOGITS: student(made)}, {LOGITS: wanted}, len(made)


def nothing_made(answers: tuple[Tensor, Tensor]) -> tuple[Logits, Logits, int]:
    """What stands for a term without images: it is zero, and so is its gradient."""
    own, wanted = (answer[:1] * 0.0 for answer in answers)
    return {LOGITS: own}, {LOGITS: wanted}, 0
