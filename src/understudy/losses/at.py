"""Attention transfer.

Zagoruyko & Komodakis, "Paying More Attention to Attention: Improving the Performance of Convolutional Neural Networks
via Attention Transfer", ICLR 2017, sections 3.1 (activation-based) and 3.2 (gradient-based).

Differs from the paper: the distance of two maps is squared, as in the authors' code, and summed over positions, where
their code averages; the distance of two gradients is squared unless asked for otherwise. The factor 1/2 is left to the
weight. Features of unequal size are averaged down to the smaller one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from understudy.ops import at_least_float32, full_precision, input_gradient

# Shapes: B images, C channels, H x W positions, P = H * W, N = C * P, K classes.


def attention_map(feature: Tensor, power: float = 2.0) -> Tensor:
    """Where a layer is active: sum_c |f_c|^power as a unit vector over positions, one per image.

    (B, C, H, W) -> (B, H * W). The order and the signs of the channels and a positive scale of an image's features
    do not change it; for power 2 neither does an orthogonal mixing of the channels. A feature of all zeros maps to
    zeros with a zero gradient. Raises ValueError for a feature that is no map and for a power below 1.
    """
    return _unit(attention_energy(feature, power))


def attention_energy(feature_BCHW: Tensor, power: float = 2.0) -> Tensor:
    """sum_c |f_c|^power: (B, C, H, W) -> (B, H, W), a number for each position instead of C.

    Raises ValueError for a feature without positions and for a power below 1.
    """
    if feature_BCHW.ndim != 4:
        raise ValueError(
            f"attention is a map over positions; found a feature of shape {tuple(feature_BCHW.shape)}, expected "
            "(B, C, H, W): read it before the positions are pooled away"
        )
    if power < 1:
        raise ValueError(f"power {power} has an infinite gradient at 0; use a power of 1 or more")
    values_BCHW = at_least_float32(feature_BCHW)
    return _SquaredNorm.apply(values_BCHW) if power == 2 else values_BCHW.abs().pow(power).sum(dim=1)


def attention(student: Tensor, teacher: Tensor, power: float = 2.0) -> Tensor:
    """Squared L2 distance of the two attention maps, averaged over the batch.

    (B, C_student, H, W), (B, C_teacher, H', W') -> (), in [0, 2], since no map has a negative entry. Widths may
    differ. Where sizes differ, the larger feature is averaged down first, as it is for every method. Raises
    ValueError for features that are no maps, or of other images, and for a power below 1.
    """
    if student.ndim == teacher.ndim == 4 and student.shape[2:] != teacher.shape[2:]:
        size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
        student, teacher = (F.adaptive_avg_pool2d(feature, size) for feature in (student, teacher))
    return attention_to_energy(student, attention_energy(teacher.detach(), power), power)


def attention_to_energy(student: Tensor, teacher_BHW: Tensor, power: float = 2.0) -> Tensor:
    """`attention` to a teacher of which its `attention_energy` is known, a C-th of the feature to keep or to store.

    (B, C, H, W), (B, H, W) -> (). Raises ValueError for a feature that is no map, for other images or another size,
    and for a power below 1.
    """
    student_BHW, teacher_BHW = attention_energy(student, power), teacher_BHW.detach()
    if student_BHW.shape != teacher_BHW.shape:
        raise ValueError(
            f"attention is compared image by image and place by place; found maps of {tuple(student_BHW.shape)} of the "
            f"student and {tuple(teacher_BHW.shape)} of the teacher"
        )
    return (_unit(student_BHW) - _unit(teacher_BHW)).square().sum() / student.shape[0]


def attention_gradient(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, images: Tensor, squared: bool = True
) -> Tensor:
    """Squared L2 distance of the two gradients of the cross-entropy towards an image, averaged over the batch.

    (B, K), (B, K), (B,), (B, C, H, W) -> (). With `squared=False` the distance itself, whose gradient where both agree
    is taken to be zero. BatchNorm on batch statistics ties images together: an image's gradient then holds what it does
    to the loss of the others. Raises ValueError for images that do not require gradients, and for logits that do not
    depend on these very images: both networks have to see them with gradients switched on.
    """
    student_BN = _loss_gradient(student_logits, labels, images, "student", trains=True)
    teacher_BN = _loss_gradient(teacher_logits, labels, images, "teacher", trains=False)
    difference_BN = student_BN - teacher_BN
    if squared:
        return difference_BN.square().sum() / images.shape[0]
    return torch.linalg.vector_norm(difference_BN, dim=1).mean()  # torch's norm has the gradient 0 at 0


class _SquaredNorm(torch.autograd.Function):
    """sum_c f_c^2: (B, C, H, W) -> (B, H, W), whose gradient is made from the feature alone: no square is kept."""

    @staticmethod
    def forward(ctx, feature_BCHW: Tensor) -> Tensor:
        ctx.save_for_backward(feature_BCHW)
        return feature_BCHW.square().sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient_BHW: Tensor) -> Tensor:
        (feature_BCHW,) = ctx.saved_tensors
        return feature_BCHW * (2.0 * gradient_BHW)[:, None]


def _unit(energy_BHW: Tensor) -> Tensor:
    energy_BP = energy_BHW.flatten(1)
    # A unit vector has no scale, so its peak is a constant here; without it large features overflow once squared.
    peak_B1 = energy_BP.detach().amax(dim=1, keepdim=True)
    return F.normalize(energy_BP / torch.where(peak_B1 > 0, peak_B1, 1.0), dim=1)


def _loss_gradient(logits: Tensor, labels: Tensor, images: Tensor, whose: str, trains: bool) -> Tensor:
    """d CE / d images, each image's own since the sum over the batch is what is differentiated: (B, N)."""
    with full_precision(logits):
        loss = F.cross_entropy(at_least_float32(logits), labels, reduction="sum")
    needed_by = "the gradient form of attention"
    return input_gradient(loss, images, of=f"the {whose}'s cross-entropy", needed_by=needed_by, trains=trains)
