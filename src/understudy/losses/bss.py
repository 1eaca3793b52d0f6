"""Boundary supporting samples.

Heo, Lee, Yun & Choi, "Knowledge Distillation with Adversarial Samples Supporting Decision Boundary", AAAI 2019,
section 3. Training adds to the task a CE_T(images) + b CE_T(moved images), CE_T being the cross-entropy against the
teacher's softened classes (T = 3, without the factor T^2) and a, b `clean_weight` and `boundary_weight`.

Differs from the paper, as the authors' code does: an image stops as soon as it leaves its class, whichever it enters.
Differs from the code: a gradient of exactly zero moves nothing, where the code divides by zero; a single candidate,
where the code fails, is read on the student's running statistics, since a batch of one may have none; progress e / E is
expected with e counted in fractions of an epoch, where the code counts whole epochs from 1. Steps and bound are in the
units of the images as the student sees them: where these are divided by another deviation than the code's 0.2023,
0.1994 and 0.2010 of CIFAR-10, as by ours of 0.247, 0.244 and 0.261, the same numbers are larger moves of pixels.

As in the code, the moved images go through the student in a forward of their own: its BatchNorms normalise them by
their own statistics, and move towards these as well. Which images are moved is decided while a step runs: on a GPU the
processor waits for that.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from understudy.ops import at_least_float32, unit_vectors
from understudy.processes import of_all_processes, own_part

Progress = TypeVar("Progress", float, Tensor)


def boundary_samples(
    teacher: Callable[[Tensor], Tensor],
    images: Tensor,
    target: Tensor,
    steps: int = 10,
    step_size: float = 0.3,
    bound: float = 2.5,
) -> Tensor:
    """The images, each moved towards its target class until the teacher no longer sees the class it saw at first.

    (N, C, H, W), (N,) -> (N, C, H, W), detached, in the images' dtype. `teacher` maps images to logits, frozen and in
    eval mode; each step runs it on the images that have not left yet, and its parameters get no gradient. A step is
    `step_size` (gap + 1e-4) long, gap = logit of the first class - logit of the target, and ends inside +-`bound`.
    An image whose target is its first class never moves. Raises ValueError for targets that are not one class for each
    image, and for numbers that move none.
    """
    if target.shape != images.shape[:1] or target.is_floating_point():
        raise ValueError(
            f"each image has one target class; found targets of shape {tuple(target.shape)} and {target.dtype} for "
            f"{len(images)} images, expected ({len(images)},) of whole numbers"
        )
    if steps < 0 or not bound > 0 or not step_size > 0:
        raise ValueError(
            f"steps={steps}, step_size={step_size}, bound={bound}: expected 0 or more, and numbers above 0"
        )
    moved = at_least_float32(images.detach()).clone()  # in half precision the later steps would be rounded away
    active, base = torch.arange(len(images), device=images.device), None
    for _ in range(steps):
        if len(active) == 0:
            break
        with torch.enable_grad():
            inputs = moved[active].requires_grad_()
            # A copy: the teacher may write into what it is given.
            logits = at_least_float32(teacher(inputs.to(images.dtype, copy=True)))
            seen, aim = logits.argmax(dim=1), target[active]
            gap = (logits.gather(1, seen[:, None]) - logits.gather(1, aim[:, None])).flatten()
            (uphill,) = torch.autograd.grad(gap.sum(), inputs)
        base = seen if base is None else base
        stays = (seen == base[active]) & (aim != seen)
        active = active[stays]
        length = step_size * (gap.detach()[stays] + 1e-4)
        step = length[:, None] * unit_vectors(uphill[stays].flatten(1))
        moved[active] = (moved[active] - step.unflatten(1, images.shape[1:])).clamp(-bound, bound)
    return moved.to(images.dtype)


@torch.no_grad()
def choose_bases(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, most: int = 64) -> Tensor:
    """Indices of the images that both classify correctly: (B, K), (B, K), (B,) -> (n,), with n from 0 to `most`.

    First come those whose probabilities differ most: by sum_{k != y} (p_t,k - p_s,k)^2, equals in the batch's order.
    """
    student, teacher = (at_least_float32(logits).softmax(dim=1) for logits in (student_logits, teacher_logits))
    difference = (teacher - student).square().scatter(1, labels[:, None], 0.0).sum(dim=1)
    correct = (student_logits.argmax(dim=1) == labels) & (teacher_logits.argmax(dim=1) == labels)
    candidates = correct.nonzero().flatten()
    order = difference[candidates].argsort(descending=True, stable=True)
    return candidates[order[:most]]


@torch.no_grad()
def draw_targets(teacher_logits: Tensor, base: Tensor, sample: bool = True) -> Tensor:
    """A class other than `base` for each image, class k with probability p_t(k) / (1 - p_t(base)).

    (n, K), (n,) -> (n,), drawn from torch's global generator; with `sample=False` the likeliest other class. A teacher
    that is all but certain of `base` still leaves the other classes their proportions. Raises ValueError for logits of
    one class, which leave no other.
    """
    if teacher_logits.shape[1] < 2:
        raise ValueError(
            f"logits of shape {tuple(teacher_logits.shape)} leave no other class; give at least two classes"
        )
    others = at_least_float32(teacher_logits).scatter(1, base[:, None], -torch.inf)
    return others.softmax(dim=1).multinomial(1).flatten() if sample else others.argmax(dim=1)


def boundary_batch(
    teacher: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    student_logits: Tensor,
    teacher_logits: Tensor,
    sample: bool = True,
    most: int = 64,
    steps: int = 10,
    step_size: float = 0.3,
    bound: float = 2.5,
) -> Tensor:
    """The images that both networks classify correctly, at most `most` of them, moved to the teacher's boundary.

    (B, C, H, W), (B,), (B, K), (B, K) -> (n, C, H, W), detached; n may be 0, and then the teacher is not run. Of
    several processes' images `most` are chosen together, and each moves those of its own. Raises ValueError for numbers
    that move none, and for logits of one class.
    """
    if most < 1:
        raise ValueError(f"most={most}: expected 1 image or more")
    student, wanted, classes = (of_all_processes(each.detach()) for each in (student_logits, teacher_logits, labels))
    chosen = choose_bases(student, wanted, classes, most)
    # Drawn for all of them: every process draws the same numbers, those that one alone would draw.
    target = draw_targets(wanted[chosen], classes[chosen], sample)
    here = own_part(len(classes))
    is_own = (chosen >= here.start) & (chosen < here.stop)
    return boundary_samples(teacher, images[chosen[is_own] - here.start], target[is_own], steps, step_size, bound)


def clean_weight(progress: Progress) -> Progress:
    """a(e) = 1 + 3 (1 - e / E), from 4 to 1, of the fraction e / E of the training that is done."""
    return 1.0 + 3.0 * (1.0 - progress)


def boundary_weight(progress: Progress) -> Progress:
    """b(e) = max(0, 2 (1 - 4 e / (3 E))), from 2 to 0 at three quarters, of the fraction e / E that is done."""
    weight = 2.0 * (1.0 - 4.0 * progress / 3.0)
    return weight.clamp(min=0.0) if isinstance(weight, Tensor) else max(0.0, weight)
