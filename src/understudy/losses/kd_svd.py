"""KD-SVD: knowledge distillation using singular value decomposition.

Lee, Kim & Song, "Self-supervised Knowledge Distillation Using Singular Value Decomposition", ECCV 2018, section 3.

Differs from the paper: a singular vector's sign is arbitrary and the relation of two taps depends on it, so the
teacher's are made canonical first; the authors' depend on the linear algebra library. The loss is averaged over the
batch, where the authors sum; maps of other widths go through a connector, where their pairs are equally wide. Clipping
the gradient to that of the task is not part of the loss.
"""

# Shapes: B images, M channels in front, N at the back, K vectors kept.

import math

import torch
from torch import Tensor

from understudy.losses.singular import matched_vectors
from understudy.ops import full_precision

BETA = 8.0  # width of the RBF, as in the authors' code
NUM_POWERS = 14  # entries are at most 1, so the next term, (1/4)^14 / 14!, is beyond float64


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
    nothing. Zero for equal maps; finite, in value and gradient, for maps of zeros and dead channels. Raises
    ValueError for unequal widths, for features that are no maps, and for more vectors than there are.
    """
    if len(student_front) != len(student_back):
        raise ValueError(
            f"kd_svd relates two maps of the same images; found {len(student_front)} images in front and "
            f"{len(student_back)} at the back"
        )
    student_front_BMK, teacher_front_BMK = weighted_vectors(student_front, teacher_front, k)
    student_back_BNK, teacher_back_BNK = weighted_vectors(student_back, teacher_back, k)
    squares_BK = _squared_difference_of_relations(
        student_front_BMK, student_back_BNK, teacher_front_BMK, teacher_back_BNK
    )
    return squares_BK.sum().to(student_front_BMK.dtype) / student_front.shape[0]


def _squared_difference_of_relations(
    student_front: Tensor, student_back: Tensor, teacher_front: Tensor, teacher_back: Tensor
) -> Tensor:
    """Sum over m, n of (R_s - R_t)^2 for each image and vector, without the M x N relation: -> (B, K), float64.

    exp(-(f - g)^2 / 8) is the product of exp(-f^2 / 8), exp(-g^2 / 8) and the series of exp(f g / 4), so R = P Q^T with
    a column for each power. R_s - R_t = (P_s - P_t) Q_s^T + P_t (Q_s - Q_t)^T, where nothing cancels, and the squared
    norm of such a product needs the Gram matrices of its two factors alone.
    """
    student_front, student_back, teacher_front, teacher_back = (
        _powers(vectors.double()) for vectors in (student_front, student_back, teacher_front, teacher_back)
    )
    front_BKMP = torch.cat([student_front - teacher_front, teacher_front], dim=-1)
    back_BKNP = torch.cat([student_back, student_back - teacher_back], dim=-1)
    with full_precision(front_BKMP):
        grams = (front_BKMP.mT @ front_BKMP) * (back_BKNP.mT @ back_BKNP)
    return grams.sum(dim=(-2, -1))


def _powers(vectors_BMK: Tensor) -> Tensor:
    """exp(-f^2 / 8) (f / 2)^p / sqrt(p!) for p = 0, 1, ...: (B, M, K) -> (B, K, M, NUM_POWERS)."""
    vectors_BKM = vectors_BMK.mT
    power_BKM = torch.exp(-vectors_BKM.square() / BETA)
    powers = [power_BKM]
    for exponent in range(1, NUM_POWERS):
        power_BKM = power_BKM * vectors_BKM * (0.5 / math.sqrt(exponent))
        powers.append(power_BKM)
    return torch.stack(powers, dim=-1)
