"""Activation boundaries.

Heo, Lee, Yun & Choi, "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons",
AAAI 2019, section 3 (the alternative loss, with margin mu).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from understudy.ops import at_least_float32


def activation_boundary(student: Tensor, teacher: Tensor, margin: float = 1.0) -> Tensor:
    """Sum over one image of relu(margin - y s)^2, with y = +1 where the teacher is active (t > 0) and -1 elsewhere.

    (B, ...), (B, ...) -> (), both before the activation, averaged over the batch. Only the teacher's signs count: any
    positive scale of it changes nothing, and `active` of it, truth values, is as good. Zero exactly where every neuron is on the teacher's side by the margin; never
    below margin^2 times the number of neurons on the wrong side.
    """
    values = at_least_float32(student)
    signed = torch.where(teacher > 0, values, -values)
    return F.relu(margin - signed).square().sum() / student.shape[0]


def active(teacher: Tensor) -> Tensor:
    """Which neurons are active: a feature of any shape -> truth values of that shape. Exactly 0 is not active."""
    return teacher > 0


def activation_agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """The fraction of neurons that are active in both or in neither: (B, ...), (B, ...) -> (), in [0, 1].

    A measure, not a loss: it has no gradient. Active means strictly above zero.
    """
    return ((student > 0) == (teacher > 0)).float().mean()
