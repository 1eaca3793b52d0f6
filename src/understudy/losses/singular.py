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

from understudy.losses.dominant import SMALLEST_GAP, SMALLEST_VALUE, eigh, nearest_eigenvector, solve_beside
from understudy.ops import at_least_float32, full_precision

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
        values_BN, basis_BNN = eigh(matrix_BNN)
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
    return torch.where(decisive_B1K < 0, -1.0, 1.0).to(vectors_BCK.dtype)


def leading_vectors(feature_BCHW: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k leading right singular vectors and their singular values: (B, C, H, W) -> (B, C, k), (B, k).

    Unit vectors with canonical signs. The order of the positions, or any rotation of them, changes nothing; a positive
    scale changes only the values. A singular value of zero has no vector: zeros, without a gradient. Several are
    computed in float64 from the Gram matrix of the shorter side, whose eigenvalues are squares: float32 would lose half
    its digits. Raises ValueError for a k that is not from 1 to min(C, H * W).
    """
    channels, positions = feature_BCHW.shape[1], feature_BCHW[0, 0].numel()
    if not 1 <= k <= min(positions, channels):
        raise ValueError(
            f"leading vectors: found k={k} for a map of shape {tuple(feature_BCHW.shape)}, which has "
            f"{min(positions, channels)} of them; choose k between 1 and that, or read a larger layer"
        )
    if k > 1:
        return _several(feature_BCHW, k)
    nobody_BC1 = feature_BCHW.new_zeros(len(feature_BCHW), channels, 1)
    vectors_BC1, values_B1 = nearest_vector(feature_BCHW, nobody_BC1, 1)
    return vectors_BC1 * canonical_signs(vectors_BC1.detach()), values_B1


def nearest_vector(feature_BCHW: Tensor, wanted_BC1: Tensor, num_candidates: int) -> tuple[Tensor, Tensor]:
    """Of the leading right singular vectors the one with the largest |cosine| to what is wanted, and its value.

    (B, C, H, W), (B, C, 1) -> (B, C, 1), (B, 1). Unit vectors of any sign, zeros where the singular value is 0.
    """
    short_BNM, is_wide = _short_side(feature_BCHW)
    with full_precision(feature_BCHW):
        wanted_BN = wanted_BC1[:, :, 0].detach().to(short_BNM.dtype)
        if is_wide:
            wanted_BN = (short_BNM.detach() @ wanted_BN[:, :, None])[:, :, 0]
        basis_BN, image_BM = OneVector.apply(short_BNM, wanted_BN.double(), is_wide, num_candidates)
        exists_B1 = basis_BN.detach().any(dim=1, keepdim=True)
        values_B1 = torch.linalg.vector_norm(torch.where(exists_B1, image_BM, 1.0), dim=1, keepdim=True)
        vectors_BC = image_BM / values_B1 if is_wide else basis_BN
        values_B1 = torch.where(exists_B1, values_B1, 0.0)
    return vectors_BC[:, :, None].to(short_BNM.dtype), values_B1.to(short_BNM.dtype)


class OneVector(torch.autograd.Function):
    """An eigenvector u of M M^T and w = M^T u, both in float64: (B, N, M) -> (B, N), (B, M).

    For gradients g on u and h on w, with the eigenvalue a: z = (a I - M M^T)^+ (g + M h), and M gets
    z w^T + u (M^T z + h)^T. Products with M are in its own precision.
    """

    @staticmethod
    def forward(ctx, matrix_BNM: Tensor, wanted_BN: Tensor, is_image: bool, num: int) -> tuple[Tensor, Tensor]:
        gram_BNN = (matrix_BNM @ matrix_BNM.mT).double()
        vector_BN, value_B = nearest_eigenvector(gram_BNN, wanted_BN, is_image, num)
        image_BM = (vector_BN[:, None].to(matrix_BNM.dtype) @ matrix_BNM)[:, 0].double()
        ctx.save_for_backward(matrix_BNM, gram_BNN, vector_BN, value_B, image_BM)
        return vector_BN, image_BM

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient_BN: Tensor, image_gradient_BM: Tensor) -> tuple[Tensor, None, None, None]:
        matrix_BNM, gram_BNN, vector_BN, value_B, image_BM = ctx.saved_tensors
        own = matrix_BNM.dtype
        gradient_BN = gradient_BN + (matrix_BNM @ image_gradient_BM[:, :, None].to(own))[:, :, 0]
        z_BN = solve_beside(gram_BNN, vector_BN, value_B, gradient_BN)
        right_BM = (z_BN[:, None].to(own) @ matrix_BNM)[:, 0] + image_gradient_BM
        exists_B1 = vector_BN.any(dim=1, keepdim=True)
        left_BN2 = torch.stack([z_BN, vector_BN], dim=2).to(own)
        right_B2M = torch.stack([image_BM, torch.where(exists_B1, right_BM, 0.0)], dim=1).to(own)
        return left_BN2 @ right_B2M, None, None, None


def _short_side(feature_BCHW: Tensor) -> tuple[Tensor, bool]:
    """The map as a matrix with its shorter side in front, and whether that side is the positions."""
    matrix_BCP = at_least_float32(feature_BCHW).flatten(2)
    is_wide = matrix_BCP.shape[2] < matrix_BCP.shape[1]
    return matrix_BCP.mT if is_wide else matrix_BCP, is_wide


def _several(feature_BCHW: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Vectors and values from all eigenvectors of the Gram matrix of the shorter side."""
    short_BNM, is_wide = _short_side(feature_BCHW)
    own = short_BNM.dtype
    with full_precision(feature_BCHW):
        short_BNM = short_BNM.double()
        basis_BNK, squares_BK = LeadingEigenvectors.apply(short_BNM @ short_BNM.mT, k)
        exists_B1K = ~(squares_BK <= SMALLEST_VALUE * squares_BK[:, :1])[:, None]
        basis_BNK = torch.where(exists_B1K, basis_BNK, 0.0)
        image_BMK = short_BNM.mT @ basis_BNK
        values_B1K = torch.linalg.vector_norm(image_BMK, dim=1, keepdim=True)
    vectors_BCK = image_BMK / torch.where(exists_B1K, values_B1K, 1.0) if is_wide else basis_BNK
    vectors_BCK = vectors_BCK * canonical_signs(vectors_BCK.detach())
    return vectors_BCK.to(own), values_B1K[:, 0].to(own)


def aligned(candidates_BCL: Tensor, wanted_BCK: Tensor) -> Tensor:
    """For each wanted vector the candidate with the largest |cosine|, turned to its side.

    (B, C, L), (B, C, K) -> (B, C, K). One candidate may serve several. Gradients reach the chosen candidates only.
    """
    with full_precision(wanted_BCK):
        cosine_BLK = candidates_BCL.detach().mT @ wanted_BCK
    best_B1K = cosine_BLK.abs().argmax(dim=1, keepdim=True)
    sign_B1K = torch.where(cosine_BLK.gather(1, best_B1K) < 0, -1.0, 1.0).to(candidates_BCL.dtype)
    return candidates_BCL.gather(2, best_B1K.expand_as(wanted_BCK)) * sign_B1K


def matched_vectors(student: Tensor, teacher: Tensor, k: int, num_candidates: int) -> tuple[Tensor, Tensor, Tensor]:
    """The teacher's k leading vectors, the student's answer to each, and the teacher's singular values.

    (B, C, H, W), (B, C, H', W') -> student (B, C, k), teacher (B, C, k), values (B, k). The student's are chosen among
    its leading ones, or all where the map has fewer. H x W may differ: a vector has one entry per channel. Raises
    ValueError for features that are no maps, for an empty batch, for other images or widths than the teacher's, and for
    a k that is not from 1 to min(C, H' * W').
    """
    if student.ndim != 4 or len(student) == 0:
        raise ValueError(
            f"singular vectors are those of maps (B, C, H, W); found {tuple(student.shape)} of the student: read it "
            "before the positions are pooled away"
        )
    if student.ndim != teacher.ndim or student.shape[:2] != teacher.shape[:2]:
        raise ValueError(
            f"singular vectors: the student's map is {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}, and "
            "their entries are compared channel by channel; put a 1x1 connector to the teacher's width on the student"
        )
    teacher_BCK, values_BK = leading_vectors(teacher.detach(), k)
    available = min(num_candidates, student.shape[1], student[0, 0].numel())

    if k > 1:
        candidates_BCL, _ = leading_vectors(student, available)
    else:
        candidates_BCL, _ = nearest_vector(student, teacher_BCK, available)
    return aligned(candidates_BCL, teacher_BCK.to(candidates_BCL.dtype)), teacher_BCK, values_BK
