"""Distances of activations under other powers than two.

Heo, Lee, Yun & Choi, "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons",
AAAI 2019, table 7 (p = 2, 1 and 1/2).

Differs from the paper: it does not say whether the values are compared before or after the ReLU; after it is the
default here, and `pre_activation=True` is the other reading.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from understudy.ops import at_least_float32


def lp(student: Tensor, teacher: Tensor, p: float = 2.0, pre_activation: bool = False) -> Tensor:
    """Sum over one image of |relu(t) - relu(s)|^p, or of |t - s|^p where `pre_activation` is true.

    (B, ...), (B, ...) -> (), both before the activation, averaged over the batch. Where both are equal the gradient
    is 0 for every p, also where p < 1 makes it unbounded beside that point. Raises ValueError for unequal shapes
    and for a p that is not above 0.
    """
    if not 0 < p < math.inf:
        raise ValueError(f"p is {p}; it has to be a positive number, such as 2, 1 or 0.5")
    if student.shape != teacher.shape:
        raise ValueError(
            f"lp compares features of one shape; found the student's {tuple(student.shape)} and the teacher's "
            f"{tuple(teacher.shape)}; pass the student's through a connector to the teacher's shape first"
        )
    own, wanted = at_least_float32(student), at_least_float32(teacher.detach())
    distance = (own - wanted).abs() if pre_activation else (F.relu(own) - F.relu(wanted)).abs()
    # After a ReLU most units are 0 on both sides; there the power's derivative must not see the zero.
    is_equal = distance == 0
    power = torch.where(is_equal, 1.0, distance).pow(p)
    return torch.where(is_equal, 0.0, power).sum() / student.shape[0]
