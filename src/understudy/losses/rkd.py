"""Relational knowledge distillation: distances and angles between the images of a batch.

Park, Kim, Lu & Cho, "Relational Knowledge Distillation", CVPR 2019, section 3.2.

Differs from the authors' code: two images with one embedding are at distance 0, not 1e-6, and do not count in the mean
distance; their angles are 0 with a finite gradient. The angles come from the distances, without B^2 d numbers, and
these from the Gram matrix in float64. In float32 a cosine is right to the rounding times the ratio of its distances.
"""

# Shapes: B images, d numbers in an embedding (the student's d and the teacher's may differ).

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from understudy.ops import at_least_float32, full_precision

# In units of the dtype's rounding: how far apart two equal embeddings may seem once their distance is a difference of
# inner products.
ROUNDINGS = 32
# In how many parts the B^3 angles are looked at.
NUM_PARTS = 8


def rkd_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber distance of the distances between images, each divided by its network's mean distance.

    (B, d_s), (B, d_t) -> (), averaged over all B^2 pairs, an image with itself included. Moving, turning, mirroring
    or scaling either side's embeddings changes nothing. 0 for a batch of one. Raises ValueError for what is no
    embedding, and for other images.
    """
    check_embeddings(student, teacher)
    loss = F.huber_loss(relative_distance(student), relative_distance(teacher.detach()))
    return loss.to(at_least_float32(student).dtype)


def rkd_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber distance of the cosines of the angles that three images form, at each of the three.

    (B, d_s), (B, d_t) -> (), averaged over all B^3 triples, those with an image twice included. Moving, turning,
    mirroring or scaling either side's embeddings changes nothing. 0 for a batch of one. Raises ValueError for what
    is no embedding, and for other images.
    """
    check_embeddings(student, teacher)
    dtype = at_least_float32(student).dtype
    with torch.no_grad():
        wanted = half_and_inverse(teacher, dtype)
    return _CosineHuber.apply(*half_and_inverse(student, dtype), *wanted)


def relative_distance(embedding_Bd: Tensor) -> Tensor:
    """Distances between images over the mean of the positive ones: (B, d) -> (B, B), in float64.

    All are 0 where all images are equal.
    """
    square_BB, is_equal_BB = squared_distance(centred_gram(embedding_Bd))
    distance_BB = torch.where(is_equal_BB, 0.0, square_BB.sqrt())
    num_positive = is_equal_BB.logical_not().sum()
    mean = distance_BB.sum() / num_positive.clamp(min=1)
    return distance_BB / torch.where(num_positive == 0, 1.0, mean)


def half_and_inverse(embedding_Bd: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Half the squared distances, and one over the distances; both 0 where two are equal: (B, d) -> (B, B), (B, B)."""
    square_BB, is_equal_BB = squared_distance(centred_gram(embedding_Bd))
    half_BB = torch.where(is_equal_BB, 0.0, 0.5 * square_BB)
    return half_BB.to(dtype), torch.where(is_equal_BB, 0.0, square_BB.rsqrt()).to(dtype)


def products(half_BB: Tensor, rows: slice) -> Tensor:
    """<x_i - x_j, x_k - x_j> = h_ji + h_jk - h_ik for some images j: (B, B) -> (J, B, B), as j, i, k."""
    return half_BB[rows, :, None] + (half_BB[rows, None, :] - half_BB)


def cosines(half_BB: Tensor, inverse_BB: Tensor, rows: slice) -> Tensor:
    """The cosine of the angle at some images j between the images i and k: (B, B), (B, B) -> (J, B, B), as j, i, k.

    0 where image i or k has the embedding of image j.
    """
    inverse_JB = inverse_BB[rows]
    return products(half_BB, rows) * inverse_JB[:, :, None] * inverse_JB[:, None, :]


class _CosineHuber(torch.autograd.Function):
    """The mean Huber distance of the cosines at all triples, from each side's `half_and_inverse`.

    The cosine at image j between i and k is products_jik inverse_ji inverse_jk. Value and gradient are taken together,
    some images j at a time: of the B^3 numbers no more than an eighth is there at once, and none is kept.
    """

    @staticmethod
    def forward(ctx, half_BB: Tensor, inverse_BB: Tensor, wanted_BB: Tensor, wanted_inverse_BB: Tensor) -> Tensor:
        batch = len(half_BB)
        step = -(-batch // NUM_PARTS)
        total, between_BB, at_j, by_inverse = half_BB.new_zeros(()), torch.zeros_like(half_BB), [], []
        for first in range(0, batch, step):
            rows = slice(first, first + step)
            inverse_JB, product_JBB = inverse_BB[rows], products(half_BB, rows)
            scale_JBB = inverse_JB[:, :, None] * inverse_JB[:, None, :]
            difference_JBB = product_JBB * scale_JBB - cosines(wanted_BB, wanted_inverse_BB, rows)
            # Huber's distance of d from its slope h: h (d - h / 2).
            slope_JBB = difference_JBB.clamp(-1.0, 1.0)
            total = total + (slope_JBB * (difference_JBB - 0.5 * slope_JBB)).sum()
            by_product_JBB = slope_JBB * scale_JBB
            between_BB = between_BB + by_product_JBB.sum(dim=0)
            # Twice, since i and k can be exchanged.
            at_j.append(2.0 * by_product_JBB.sum(dim=2))
            by_inverse.append(2.0 * (slope_JBB * product_JBB * inverse_JB[:, None, :]).sum(dim=2))
        at_j_BB, by_inverse_BB = torch.cat(at_j), torch.cat(by_inverse)
        ctx.save_for_backward((at_j_BB - between_BB) / batch**3, by_inverse_BB / batch**3)
        return total / batch**3

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        by_half_BB, by_inverse_BB = ctx.saved_tensors
        return by_half_BB * gradient, by_inverse_BB * gradient, None, None


def centred_gram(embedding_Bd: Tensor) -> Tensor:
    """Inner products of the embeddings after their mean is taken off, the longest at length one: (B, d) -> (B, B).

    In float64, since the distances of images that lie close together are small differences of its entries. No relation
    depends on the scale.
    """
    values_Bd = embedding_Bd.double()
    centred_Bd = values_Bd - values_Bd.mean(dim=0)
    longest = torch.linalg.vector_norm(centred_Bd.detach(), dim=1).amax()
    centred_Bd = centred_Bd / torch.where(longest == 0, 1.0, longest)
    with full_precision(embedding_Bd):
        return centred_Bd @ centred_Bd.T


def squared_distance(gram_BB: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances from a Gram matrix, and where two embeddings are equal: (B, B) -> (B, B), (B, B).

    A pair is equal where its squared distance is within rounding of the squared lengths it is a difference of; there
    1 stands in its place, so that a root of it has a finite gradient.
    """
    length_B = gram_BB.diagonal()
    lengths_BB = length_B[:, None] + length_B
    square_BB = lengths_BB - 2.0 * gram_BB
    is_equal_BB = square_BB <= ROUNDINGS * torch.finfo(gram_BB.dtype).eps * lengths_BB
    return torch.where(is_equal_BB, 1.0, square_BB), is_equal_BB


def check_embeddings(student: Tensor, teacher: Tensor) -> None:
    """Raises ValueError unless both are embeddings (B, d) of as many images."""
    if student.ndim != 2 or teacher.ndim != 2:
        raise ValueError(
            f"relations compare embeddings (B, d); found the student's {tuple(student.shape)} and the teacher's "
            f"{tuple(teacher.shape)}; pool maps to one vector per image first"
        )
    if len(student) == 0:
        raise ValueError("relations compare embeddings of images; found an empty batch")
    if len(student) != len(teacher):
        raise ValueError(
            f"the student has {len(student)} embeddings, the teacher {len(teacher)}; give both the same images"
        )
