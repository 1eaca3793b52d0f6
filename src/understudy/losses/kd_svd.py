"""KD-SVD: knowledge distillation using singular value decomposition.

Lee, Kim & Song, "Self-supervised Knowledge Distillation Using Singular Value Decomposition", ECCV 2018, section 3.

Differs from the paper: a singular vector's sign is arbitrary and the relation of two taps depends on it, so the
teacher's are made canonical first; the authors' depend on the linear algebra library. The loss is averaged over the
batch, where the authors sum. Clipping the gradient to that of the task is not part of the loss.
"""

# Shapes: B images, M channels in front, N at the back, K vectors kept.

import torch
from torch import Tensor

from understudy.losses.singular import matched_vectors

BETA = 8.0  # width of the RBF, as in the authors' code


def weighted_vectors(student: Tensor, teacher: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Student's and teacher's k vectors, both times the teacher's singular values scaled to unit length.

    (B, C, H, W), (B, C, H', W') -> (B, C, k), (B, C, k). For k = 1 the weight is 1; a teacher's map of zeros has 0.
    """
    student_BCK, teacher_BCK, values_BK = matched_vectors(student, teacher, k, num_candidates=k + 1)
    norm_B1 = torch.linalg.vector_norm(values_BK, dim=1, keepdim=True)
    weight_B1K = (values_BK / torch.where(norm_B1 > 0, norm_B1, 1.0))[:, None]
    return student_BCK * weight_B1K, teacher_BCK * weight_B1K


def kd_svd(
    student_front: Tensor, student_back: Tensor, teacher_front: Tensor, teacher_back: Tensor, k: int = 1
) -> Tensor:
    """Sum over one image of (R_s - R_t)^2 with R = exp(-(f_m - g_n)^2 / 8), f and g the leading vectors of two taps.

    Four maps (B, C, H, W) -> (), summed over m, n and the k vectors, averaged over the batch. Widths must be equal
    within a tap; H x W may differ everywhere. A positive scale of any map and the order of its positions change
    nothing. Zero for equal maps; finite, in value and gradient, for maps of zeros and dead channels.
    """
    student_front_BMK, teacher_front_BMK = weighted_vectors(student_front, teacher_front, k)
    student_back_BNK, teacher_back_BNK = weighted_vectors(student_back, teacher_back, k)
    student_BMNK = student_front_BMK[:, :, None] - student_back_BNK[:, None]
    teacher_BMNK = teacher_front_BMK[:, :, None] - teacher_back_BNK[:, None]
    # R_s - R_t with both near 1: the difference of their exponents first, then R_t (exp(difference) - 1).
    exponent_BMNK = (teacher_BMNK - student_BMNK) * (teacher_BMNK + student_BMNK) / BETA
    difference_BMNK = torch.exp(-teacher_BMNK.square() / BETA) * torch.expm1(exponent_BMNK)
    return difference_BMNK.square().sum() / student_front.shape[0]
