"""The leading right singular vectors of feature maps, with a gradient that is exact and safe.

A map is the matrix with one row per position and one column per channel, so a right singular vector has one entry per
channel. KD-SVD and MHGD compare nothing else. The derivatives of `torch.linalg.svd` and `eigh` divide by the
difference of *every* two eigenvalues and are NaN as soon as two channels are dead; a few leading vectors need only
their own distances to the rest.
"""

# Shapes: B images, C channels, P = H * W positions, N = min(C, P), K vectors kept, L vectors to choose from.

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from understudy.ops import at_least_float32, full_precision

# As fractions of the largest eigenvalue, that is of the largest squared singular value.
SMALLEST_GAP = 1e-6  # what float32 features know of their Gram matrix; closer eigenvalues count as this far apart
SMALLEST_VALUE = 1e-12  # what rounding leaves of a zero in float64
# Sums and magnitudes of a unit vector's entries that are this close count as equal.
SIGN_TOLERANCE = 1e-9


class LeadingEigenvectors(torch.autograd.Function):
    """The k eigenvectors of symmetric matrices with the largest eigenvalues: (B, N, N) -> (B, N, k), (B, k).

    For an upstream gradient g on the vector v of eigenvalue a, the matrix A gets sym(z v^T) with
    z = (a I - A)^+ g, which needs the gaps between a and the others and no other gap. The eigenvalues are returned
    without a gradient.
    """

    @staticmethod
    def forward(ctx, matrix_BNN: Tensor, k: int) -> tuple[Tensor, Tensor]:
        values_BN, basis_BNN = torch.linalg.eigh(matrix_BNN)
        ctx.save_for_backward(values_BN, basis_BNN)
        ctx.k = k
        leading_BK = values_BN[:, -k:].flip(-1)
        ctx.mark_non_differentiable(leading_BK)
        return basis_BNN[:, :, -k:].flip(-1), leading_BK

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient_BNK: Tensor, _: Tensor) -> tuple[Tensor, None]:
        values_BN, basis_BNN = ctx.saved_tensors
        largest_B1 = values_BN[:, -1:]
        scale_B1 = torch.where(largest_B1 > 0, largest_B1, 1.0)
        relative_BN = values_BN / scale_B1
        gap_BNK = relative_BN[:, -ctx.k :].flip(-1)[:, None, :] - relative_BN[:, :, None]
        # 1 / gap outside the smallest gap; inside it a straight line through zero, where the vectors are not defined.
        inverse_BNK = gap_BNK / gap_BNK.abs().clamp(min=SMALLEST_GAP).square() / scale_B1[:, :, None]
        z_BNK = basis_BNN @ (inverse_BNK * (basis_BNN.mT @ gradient_BNK))
        outer_BNN = z_BNK @ basis_BNN[:, :, -ctx.k :].flip(-1).mT
        return (outer_BNN + outer_BNN.mT) / 2, None


def canonical_signs(vectors_BCK: Tensor) -> Tensor:
    """+1 or -1 for each vector, which multiplied with it makes the sum of its entries positive: (B, C, K) -> (B, 1, K).

    Where the sum is zero, the largest entry is made positive; where several are largest, the first of them. Except for
    that last case the order of the channels does not matter.
    """
    sum_B1K = vectors_BCK.sum(dim=1, keepdim=True)
    size_BCK = vectors_BCK.abs()
    is_largest_BCK = size_BCK >= size_BCK.amax(dim=1, keepdim=True) - SIGN_TOLERANCE
    first_B1K = is_largest_BCK.int().argmax(dim=1, keepdim=True)
    decisive_B1K = torch.where(sum_B1K.abs() > SIGN_TOLERANCE, sum_B1K, vectors_BCK.gather(1, first_B1K))
    return torch.where(decisive_B1K < 0, -1.0, 1.0)


def leading_vectors(feature_BCHW: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k leading right singular vectors and their singular values: (B, C, H, W) -> (B, C, k), (B, k).

    Unit vectors with canonical signs. The order of the positions, or any rotation of them, changes nothing; a positive
    scale changes only the values. A singular value of zero has no vector: zeros, without a gradient. Computed in
    float64 from the Gram matrix of the shorter side, whose eigenvalues are squares: float32 would lose half its digits.
    """
    matrix_BPC = at_least_float32(feature_BCHW).flatten(2).mT
    positions, channels = matrix_BPC.shape[1:]
    if not 1 <= k <= min(positions, channels):
        raise ValueError(
            f"leading vectors: found k={k} for a map of shape {tuple(feature_BCHW.shape)}, which has "
            f"{min(positions, channels)} of them; choose k between 1 and that, or read a larger layer"
        )
    is_wide = positions < channels
    with full_precision(feature_BCHW):
        short_BNM = matrix_BPC.double() if is_wide else matrix_BPC.double().mT
        basis_BNK, squares_BK = LeadingEigenvectors.apply(short_BNM @ short_BNM.mT, k)
        exists_B1K = (squares_BK > SMALLEST_VALUE * squares_BK[:, :1])[:, None]
        basis_BNK = torch.where(exists_B1K, basis_BNK, 0.0)
        image_BMK = short_BNM.mT @ basis_BNK
        values_B1K = torch.linalg.vector_norm(image_BMK, dim=1, keepdim=True)
    vectors_BCK = image_BMK / torch.where(exists_B1K, values_B1K, 1.0) if is_wide else basis_BNK
    vectors_BCK = vectors_BCK * canonical_signs(vectors_BCK.detach())
    return vectors_BCK.to(matrix_BPC.dtype), values_B1K[:, 0].to(matrix_BPC.dtype)


def aligned(candidates_BCL: Tensor, wanted_BCK: Tensor) -> Tensor:
    """For each wanted vector the candidate with the largest |cosine|, turned to its side.

    (B, C, L), (B, C, K) -> (B, C, K). One candidate may serve several. Gradients reach the chosen candidates only.
    """
    with full_precision(wanted_BCK):
        cosine_BLK = candidates_BCL.detach().mT @ wanted_BCK
    best_B1K = cosine_BLK.abs().argmax(dim=1, keepdim=True)
    sign_B1K = torch.where(cosine_BLK.gather(1, best_B1K) < 0, -1.0, 1.0)
    return candidates_BCL.gather(2, best_B1K.expand_as(wanted_BCK)) * sign_B1K


def matched_vectors(student: Tensor, teacher: Tensor, k: int, num_candidates: int) -> tuple[Tensor, Tensor, Tensor]:
    """The teacher's k leading vectors, the student's answer to each, and the teacher's singular values.

    (B, C, H, W), (B, C, H', W') -> student (B, C, k), teacher (B, C, k), values (B, k). The student's are chosen among
    its leading ones, or all where the map has fewer. H x W may differ: a vector has one entry per channel.
    """
    if student.shape[:2] != teacher.shape[:2]:
        raise ValueError(
            f"singular vectors: the student's map is {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}, and "
            "their entries are compared channel by channel; put a 1x1 connector to the teacher's width on the student"
        )
    teacher_BCK, values_BK = leading_vectors(teacher.detach(), k)
    available = min(num_candidates, student.shape[1], student[0, 0].numel())
    candidates_BCL, _ = leading_vectors(student, available)
    return aligned(candidates_BCL, teacher_BCK.to(candidates_BCL.dtype)), teacher_BCK, values_BK
