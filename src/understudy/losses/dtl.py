"""Distillation in transfer learning: a second head of the student predicts the logits of the teacher's first task.

From the authors' code of Heo, Lee, Yun & Choi, "Knowledge Transfer via Distillation of Activation Boundaries Formed by
Hidden Neurons", AAAI 2019 (MIT scenes and CUB-2011), where its weight is 10.
"""

from torch import Tensor

from understudy.ops import at_least_float32


def dtl(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean over classes of the squared difference of the logits, each centred over its image's classes.

    (B, K), (B, K) -> (), averaged over the batch. K are the classes of the teacher's head, not of the student's
    task. A constant added to an image's logits changes nothing. Twice the limit of kd for a high temperature.
    Raises ValueError for unequal shapes.
    """
    if student_logits.ndim < 2:
        raise ValueError(f"dtl compares logits (B, K); found {tuple(student_logits.shape)}")
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"dtl compares logits over the teacher's classes, {tuple(teacher_logits.shape)}; found the student's "
            f"{tuple(student_logits.shape)}; give the student a second head with as many outputs as the teacher's"
        )
    difference = at_least_float32(student_logits) - at_least_float32(teacher_logits.detach())
    # Centring is linear, so the mean square of the centred difference is the difference's biased variance.
    return difference.var(dim=1, correction=0).mean()
