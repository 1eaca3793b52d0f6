"""Knowledge distillation.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", NIPS 2014 workshop, section 2.
"""

import torch.nn.functional as F
from torch import Tensor

from understudy.ops import at_least_float32


def kd(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 4.0) -> Tensor:
    """T^2 times the Kullback-Leibler divergence from the teacher's softened classes to the student's.

    (B, K), (B, K) -> (), summed over classes, and further axes, and averaged over the batch. The factor T^2 keeps the
    gradient's size when the temperature changes: it is T (p_s - p_t) / B. A constant added to an image's logits changes
    nothing.
    Raises ValueError for unequal shapes and for a temperature that is not above 0.
    """
    if student_logits.ndim < 2:
        raise ValueError(f"kd compares logits (B, K); found {tuple(student_logits.shape)}")
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"kd compares logits over the same classes; found the student's {tuple(student_logits.shape)} and the "
            f"teacher's {tuple(teacher_logits.shape)}; for a teacher of other classes there is dtl"
        )
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it has to be above 0, such as 4")
    student = F.log_softmax(at_least_float32(student_logits) / temperature, dim=1)
    teacher = F.log_softmax(at_least_float32(teacher_logits.detach()) / temperature, dim=1)
    divergence = F.kl_div(student, teacher, log_target=True, reduction="batchmean")
    return temperature**2 * divergence
