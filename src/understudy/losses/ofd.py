"""The comprehensive overhaul of feature distillation: margin ReLU and partial L2.

Heo, Kim, Yun, Park, Kwak & Choi, "A Comprehensive Overhaul of Feature Distillation", ICCV 2019, section 3.

Differs from the authors' code: the margin is the paper's expectation everywhere. Theirs falls back to -3 std where a
channel is almost never negative, although the expectation tends to 0 there; `form="authors"` does as they do.
Where no BatchNorm makes the feature, the margin is the mean of the batch's own negative values. A teacher's map that
is larger than the student's is averaged down before its margin ReLU, whose margins are those of the full map. The
teacher normalises by each batch's statistics, as theirs does, but does not move its own (`method.teacher_mode`).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from understudy.ops import at_least_float32, sum_of_squares

# Above this ratio of mean to deviation the closed form loses digits, and the continued fraction needs few terms.
FAR = 5.0
NUM_FRACTIONS = 40


def negative_mean(mean: Tensor, std: Tensor) -> Tensor:
    """E[x | x < 0] for x ~ N(mean, std^2), per channel: (C,), (C,) -> (C,), never above min(mean, 0).

    The sign of std does not matter; where std is 0 the result is min(mean, 0), its limit. Computed in float64 and
    returned in mean's dtype, or float32 if that is lower, without a gradient: both are the teacher's.
    """
    mean_C, std_C = mean.detach().double(), std.detach().double().abs()
    ratio = mean_C / torch.where(std_C == 0, 1.0, std_C)
    near = mean_C - std_C * math.sqrt(2.0 / math.pi) / torch.special.erfcx(ratio / math.sqrt(2.0))
    # Far above zero the two terms of `near` cancel. Laplace: their difference is -std / (r + 2 / (r + 3 / (r + ...))).
    fraction = far_ratio = ratio.clamp(min=FAR)
    for numerator in range(NUM_FRACTIONS, 1, -1):
        fraction = far_ratio + numerator / fraction
    margin = torch.where(ratio < FAR, near, -std_C / fraction)
    return torch.where(std_C == 0, mean_C.clamp(max=0.0), margin).to(at_least_float32(mean).dtype)


def authors_negative_mean(mean: Tensor, std: Tensor) -> Tensor:
    """As negative_mean, but -3 |std| where P(x < 0) is at most 0.001: (C,), (C,) -> (C,).

    Discontinuous there: the expectation is near -0.28 |std| where the fallback sets in. Where std is 0 theirs divides
    by zero; here the result is min(mean, 0).
    """
    std_C = std.detach().double().abs()
    ratio = mean.detach().double() / torch.where(std_C == 0, 1.0, std_C)
    is_rare = torch.special.ndtr(-ratio) <= 1e-3
    exact = negative_mean(mean, std)
    return torch.where(is_rare, -3.0 * std_C.to(exact.dtype), exact)


MARGINS = {"exact": negative_mean, "authors": authors_negative_mean}


class MarginReLU(nn.Module):
    """The teacher's transform max(feature, margin), one margin below zero per channel: (B, C, H, W) -> the same.

    `norm` is the BatchNorm whose output the feature is: its channels count as N(bias, weight^2), and the margins are
    computed once, here. With `norm=None` they are each batch's own mean negative values, 0 for a channel without any,
    whichever `form` is chosen. Raises ValueError for a `form` that is not in MARGINS, and for a `norm` that has not the
    feature's C channels.
    """

    margin_C: Tensor | None

    def __init__(self, teacher_shape: Sequence[int], norm: nn.Module | None, form: str = "exact"):
        super().__init__()
        if form not in MARGINS:
            raise ValueError(f"the margin's form is {form!r}; choose one of {', '.join(map(repr, MARGINS))}")
        self.register_buffer("margin_C", None if norm is None else MARGINS[form](*moments(norm, teacher_shape[1])))

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        margin_C = batch_margin(feature_BCHW) if self.margin_C is None else self.margin_C
        return torch.maximum(feature_BCHW, margin_C.to(feature_BCHW.dtype)[:, None, None])


def moments(norm: nn.Module, num_channels: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of a BatchNorm's output, its bias and weight: (C,), (C,); 0 and 1 where it is not affine.

    Raises ValueError where it has not C = `num_channels` of them.
    """
    std_C = norm.weight.detach() if isinstance(norm.weight, Tensor) else torch.ones(num_channels)
    mean_C = norm.bias.detach() if isinstance(norm.bias, Tensor) else torch.zeros_like(std_C)
    for values_C in (mean_C, std_C):
        if values_C.shape != (num_channels,):
            raise ValueError(
                f"the BatchNorm has parameters of shape {tuple(values_C.shape)}, but the teacher's feature has "
                f"{num_channels} channels; pass the BatchNorm whose output the feature is, or None if there is none"
            )
    return mean_C, std_C


@torch.no_grad()
def batch_margin(feature_BCHW: Tensor) -> Tensor:
    """The mean of a batch's negative values per channel, 0 where a channel has none: (B, C, H, W) -> (C,)."""
    values_BCHW = at_least_float32(feature_BCHW)
    num_negative_C = (values_BCHW < 0).sum(dim=(0, 2, 3))
    return values_BCHW.clamp(max=0.0).sum(dim=(0, 2, 3)) / num_negative_C.clamp(min=1)


def partial_l2(student: Tensor, teacher: Tensor) -> Tensor:
    """Sum over one image of (t - s)^2, without the elements where s <= t <= 0.

    (B, ...), (B, ...) -> (), the teacher already through its margin ReLU; averaged over the batch. Where the
    teacher is not active, the student may be as negative as it likes. Raises ValueError for unequal shapes.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"partial_l2 compares features of one shape; found the student's {tuple(student.shape)} and the teacher's "
            f"{tuple(teacher.shape)}; pass the student's through a 1x1 convolution to the teacher's shape first"
        )
    own, wanted = at_least_float32(student.detach()), at_least_float32(teacher.detach())
    # Where the teacher is active any distance counts, elsewhere that of a student above it.
    smallest = torch.where(wanted > 0, -math.inf, 0.0).to(wanted.dtype)
    return sum_of_squares(student, torch.maximum(own - wanted, smallest)) / student.shape[0]
