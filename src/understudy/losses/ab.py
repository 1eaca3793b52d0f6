"""Activation boundaries.

Heo, Lee, Yun & Choi, "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons",
AAAI 2019, section 3 (the alternative loss, with margin mu).

Differs from the authors' code: the teacher uses its running statistics (`method.teacher_mode`); theirs normalises by
each batch while boundaries are learnt, which moves them, and teaches by KD with those.
"""

import torch
from torch import Tensor

from understudy.ops import at_least_float32, sum_of_squares


def activation_boundary(student: Tensor, teacher: Tensor, margin: float = 1.0) -> Tensor:
    """Sum over one image of relu(margin - y s)^2, with y = +1 where the teacher is active (t > 0) and -1 elsewhere.

    (B, ...), (B, ...) -> (), both before the activation, averaged over the batch. Only the teacher's signs count: any
    positive scale of it changes nothing, and `signs` of it are as good. Zero exactly where
    every neuron is on the teacher's side by the margin; never below margin^2 times the number of neurons on the wrong
    side. Raises ValueError for unequal shapes and for a negative margin.
    """
    _check_shapes(student, teacher)
    if margin < 0:
        raise ValueError(f"margin is {margin}; it has to be 0 or more, such as 1")
    values, sign = at_least_float32(student.detach()), signs(teacher).to(student.dtype)
    residual = -sign * (margin - sign * values).clamp(min=0.0)
    return sum_of_squares(student, residual) / student.shape[0]


def signs(teacher: Tensor) -> Tensor:
    """+1 where a neuron is active and -1 elsewhere, at exactly 0 too: a feature of any shape -> bytes of that shape.

    Signs stay as they are.
    """
    # Compilers compare bytes an order of magnitude slower than floats.
    values = teacher.float() if teacher.dtype == torch.int8 else teacher
    return torch.where(values > 0, 1.0, -1.0).to(torch.int8)


def activation_agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """The fraction of neurons that are active in both or in neither: (B, ...), (B, ...) -> (), in [0, 1].

    A measure, not a loss: it has no gradient. Active means strictly above zero. Raises ValueError for unequal shapes.
    """
    _check_shapes(student, teacher)
    return ((student > 0) == (teacher > 0)).to(at_least_float32(student).dtype).mean()


def _check_shapes(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(
            f"boundaries are compared neuron by neuron; found the student's {tuple(student.shape)} and the teacher's "
            f"{tuple(teacher.shape)}; pass the student's through a 1x1 convolution to the teacher's shape first"
        )
