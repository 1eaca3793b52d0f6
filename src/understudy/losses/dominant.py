"""One eigenvector of each matrix of a batch: the first, or of the first few the one nearest to a wanted vector.

Maps behind a ReLU have one singular value that outweighs all others: their entries have one sign. Power iteration then
finds its vector to the last digit in some ten products, and sums of squares tell for certain whether it is the first
and the nearest. The matrices where they do not are decomposed. Which ones those are is known only while it runs, so
both ways are one operation to a compiler, and on a GPU the processor waits for each look at them.
"""

# Shapes: B positive semidefinite matrices of N rows and columns in float64, L candidates.

import torch
from torch import Tensor

# As fractions of the largest eigenvalue, that is of the largest squared singular value.
SMALLEST_GAP = 1e-6  # what float32 features know of their Gram matrix; closer eigenvalues count as this far apart
SMALLEST_VALUE = 1e-12  # what rounding leaves of a zero in float64
# A second eigenvalue that may be above this share of the first one is left to the decomposition.
LARGEST_RATIO = 0.7
MAX_PRODUCTS = 60
# Products after which a matrix whose first eigenvalue does not stand out yet is given up.
FIRST_PRODUCTS = 8
# What float64 leaves of |A u - a u| for an eigenvector u, as a share of the eigenvalue a.
RESIDUAL = 1e-14
# A squared cosine above which a unit vector is the nearest of orthogonal ones, rounding apart.
NEAREST = 0.501


@torch.library.custom_op("understudy::nearest_eigenvector", mutates_args=())
def nearest_eigenvector(
    gram_BNN: Tensor, wanted_BN: Tensor, is_image: bool, num_candidates: int
) -> tuple[Tensor, Tensor]:
    """Of the first eigenvectors u the one with the largest |cosine| to what is wanted: -> (B, N), its eigenvalues (B,).

    The cosine is wanted . u; with `is_image` it is wanted . u over the root of u's eigenvalue, which is that of M^T u
    with a unit vector t for wanted = M t and A = M M^T. The sign is arbitrary. A vector whose eigenvalue is 0 is 0.
    """
    vector_BN, value_B, is_certain_B = _first_by_products(gram_BNN)
    if num_candidates > 1:
        squared_B = (wanted_BN * vector_BN).sum(dim=1).square() / (_or_one(value_B) if is_image else 1.0)
        is_certain_B &= squared_B > NEAREST
    rest = (~is_certain_B).nonzero()[:, 0]
    if len(rest):
        vector_BN[rest], value_B[rest] = _nearest_of_all(gram_BNN[rest], wanted_BN[rest], is_image, num_candidates)
    return vector_BN, value_B


@nearest_eigenvector.register_fake
def _(gram_BNN: Tensor, wanted_BN: Tensor, is_image: bool, num_candidates: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(wanted_BN), wanted_BN.new_empty(len(wanted_BN))


@torch.library.custom_op("understudy::solve_beside", mutates_args=())
def solve_beside(gram_BNN: Tensor, vector_BN: Tensor, value_B: Tensor, right_BN: Tensor) -> Tensor:
    """(a I - A)^+ times the right-hand side, for an eigenvector of A and its eigenvalue a: (B, N); 0 for a vector of 0.

    Eigenvalues closer than SMALLEST_GAP to a, where the vector is not defined, count in proportion to their distance.
    """
    right_BN = right_BN - (right_BN * vector_BN).sum(dim=1, keepdim=True) * vector_BN
    is_first_B = _is_first(gram_BNN, value_B)
    if bool(is_first_B.all()):
        return _solved(gram_BNN, vector_BN, value_B, right_BN)
    z_BN = torch.empty_like(right_BN)
    for way, rows in ((_solved, is_first_B), (_solved_by_all, ~is_first_B)):
        z_BN[rows] = way(gram_BNN[rows], vector_BN[rows], value_B[rows], right_BN[rows])
    return z_BN


@solve_beside.register_fake
def _(gram_BNN: Tensor, vector_BN: Tensor, value_B: Tensor, right_BN: Tensor) -> Tensor:
    return torch.empty_like(right_BN)


def eigh(matrix_BNN: Tensor) -> tuple[Tensor, Tensor]:
    """As torch.linalg.eigh, (B, N), (B, N, N); of a matrix that is not finite, where that raises, all are NaN."""
    is_finite_B = matrix_BNN.isfinite().all(dim=2).all(dim=1)
    values_BN, basis_BNN = torch.linalg.eigh(torch.where(is_finite_B[:, None, None], matrix_BNN, 0.0))
    nan = torch.nan
    return torch.where(is_finite_B[:, None], values_BN, nan), torch.where(is_finite_B[:, None, None], basis_BNN, nan)


def _is_first(gram_BNN: Tensor, value_B: Tensor) -> Tensor:
    """Whether no other eigenvalue can be above the largest ratio: their squares add up to those of the entries."""
    others_B = gram_BNN.square().sum(dim=(1, 2)) - value_B.square()
    return (others_B <= (LARGEST_RATIO * value_B).square()) & (value_B > 0)


def _first_by_products(gram_BNN: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(vector, value, whether it is the first for certain), by power iteration from the sums of the rows."""
    squares_B = gram_BNN.square().sum(dim=(1, 2))
    next_BN = gram_BNN.sum(dim=2)
    for product in range(MAX_PRODUCTS):
        vector_BN = next_BN / _or_one(torch.linalg.vector_norm(next_BN, dim=1))[:, None]
        next_BN = (gram_BNN @ vector_BN[:, :, None])[:, :, 0]
        value_B = (vector_BN * next_BN).sum(dim=1)
        error_B = torch.linalg.vector_norm(next_BN - value_B[:, None] * vector_BN, dim=1)
        is_first_B = (squares_B - value_B.square() <= (LARGEST_RATIO * value_B).square()) & (value_B > 0)
        is_certain_B = is_first_B & (error_B <= RESIDUAL * value_B)
        if bool((is_certain_B | (~is_first_B & (product >= FIRST_PRODUCTS))).all()):
            break
    return vector_BN, value_B, is_certain_B


def _nearest_of_all(gram_BNN: Tensor, wanted_BN: Tensor, is_image: bool, num_candidates: int) -> tuple[Tensor, Tensor]:
    values_BN, basis_BNN = eigh(gram_BNN)
    values_BL = values_BN[:, -num_candidates:].flip(-1)
    exists_BL = ~(values_BL <= SMALLEST_VALUE * values_BL[:, :1])
    basis_BNL = torch.where(exists_BL[:, None], basis_BNN[:, :, -num_candidates:].flip(-1), 0.0)
    cosine_BL = (wanted_BN[:, None] @ basis_BNL)[:, 0].abs()
    if is_image:
        cosine_BL = cosine_BL / torch.where(exists_BL, values_BL, 1.0).sqrt()
    best_B1 = cosine_BL.argmax(dim=1, keepdim=True)
    chosen_BN = basis_BNL.gather(2, best_B1[:, None].expand(-1, basis_BNL.shape[1], 1))[:, :, 0]
    return chosen_BN, torch.where(exists_BL, values_BL, 0.0).gather(1, best_B1)[:, 0]


def _solved(gram_BNN: Tensor, vector_BN: Tensor, value_B: Tensor, right_BN: Tensor) -> Tensor:
    """For the first eigenvector, by Cholesky's decomposition of a I - A + 2 a u u^T, which is positive definite."""
    shifted_BNN = vector_BN[:, :, None] * (2.0 * value_B[:, None] * vector_BN)[:, None] - gram_BNN
    shifted_BNN.diagonal(dim1=1, dim2=2).add_(value_B[:, None])
    return torch.cholesky_solve(right_BN[:, :, None], torch.linalg.cholesky(shifted_BNN))[:, :, 0]


def _solved_by_all(gram_BNN: Tensor, vector_BN: Tensor, value_B: Tensor, right_BN: Tensor) -> Tensor:
    values_BN, basis_BNN = eigh(gram_BNN)
    scale_B1 = _or_one(values_BN[:, -1:])
    gap_BN = (value_B[:, None] - values_BN) / scale_B1
    # 1 / gap outside the smallest gap; inside it a straight line through zero, where the vectors are not defined.
    inverse_BN = gap_BN / gap_BN.abs().clamp(min=SMALLEST_GAP).square() / scale_B1
    z_BN = (basis_BNN @ (inverse_BN * (right_BN[:, None] @ basis_BNN)[:, 0])[:, :, None])[:, :, 0]
    return torch.where(vector_BN.any(dim=1, keepdim=True), z_BN, 0.0)


def _or_one(values: Tensor) -> Tensor:
    return torch.where(values > 0, values, 1.0)
