"""Relational knowledge distillation: distances and angles between the images of a batch.

Park, Kim, Lu & Cho, "Relational Knowledge Distillation", CVPR 2019, section 3.2.

Differs from the authors' code: two images with one embedding are at distance 0, not 1e-6, and do not count in the mean
distance; their angles are 0 with a finite gradient. The angles come from the Gram matrix, without B^2 d numbers.
"""

# Shapes: B images, d numbers in an embedding (the student's d and the teacher's may differ).

import torch
import torch.nn.functional as F
from torch import Tensor

from understudy.ops import at_least_float32, full_precision

# In units of the dtype's rounding: how far apart two equal embeddings may seem once their distance is a difference of
# inner products.
ROUNDINGS = 32


def rkd_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber distance of the distances between images, each divided by its network's mean distance.

    (B, d_s), (B, d_t) -> (), averaged over all B^2 pairs, an image with itself included. Moving, turning, mirroring or
    scaling either side's embeddings changes nothing. 0 for a batch of one.
    """
    check_embeddings(student, teacher)
    return F.huber_loss(relative_distance(student), relative_distance(teacher.detach()))


def rkd_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber distance of the cosines of the angles that three images form, at each of the three.

    (B, d_s), (B, d_t) -> (), averaged over all B^3 triples, those with an image twice included. Moving, turning,
    mirroring or scaling either side's embeddings changes nothing. 0 for a batch of one.
    """
    check_embeddings(student, teacher)
    return F.huber_loss(cosine(student), cosine(teacher.detach()))


def relative_distance(embedding_Bd: Tensor) -> Tensor:
    """Distances between images over the mean of the positive ones: (B, d) -> (B, B); all 0 where all are equal."""
    gram_BB = centred_gram(embedding_Bd)
    square_BB, is_equal_BB = squared_distance(gram_BB)
    distance_BB = torch.where(is_equal_BB, 0.0, square_BB.sqrt())
    num_positive = is_equal_BB.logical_not().sum()
    mean = distance_BB.sum() / num_positive.clamp(min=1)
    return distance_BB / torch.where(num_positive == 0, 1.0, mean)


def cosine(embedding_Bd: Tensor) -> Tensor:
    """The cosine of the angle at image j between the images i and k: (B, d) -> (B, B, B), in the order j, i, k.

    0 where image i or k has the embedding of image j.
    """
    gram_BB = centred_gram(embedding_Bd)
    square_BB, is_equal_BB = squared_distance(gram_BB)
    inverse_BB = torch.where(is_equal_BB, 0.0, square_BB.rsqrt())
    # <x_i - x_j, x_k - x_j> = g_ik - g_ji - g_jk + g_jj
    product_BBB = gram_BB - gram_BB[:, :, None] - gram_BB[:, None, :] + gram_BB.diagonal()[:, None, None]
    return product_BBB * inverse_BB[:, :, None] * inverse_BB[:, None, :]


def centred_gram(embedding_Bd: Tensor) -> Tensor:
    """Inner products of the embeddings after their mean is taken off: (B, d) -> (B, B)."""
    values_Bd = at_least_float32(embedding_Bd)
    centred_Bd = values_Bd - values_Bd.mean(dim=0)
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
    if len(student) != len(teacher):
        raise ValueError(
            f"the student has {len(student)} embeddings, the teacher {len(teacher)}; give both the same images"
        )
