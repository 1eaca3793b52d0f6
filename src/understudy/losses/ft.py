"""Factor transfer.

Kim, Park & Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer", NeurIPS 2018, section 3.

The paraphraser is trained on the teacher's features alone and frozen; the student's translator follows its factors.

Differs from the paper: the paraphraser's reconstruction error is the mean absolute difference and the factors'
distance is a mean over their elements, as in the authors' code; the paper writes a squared error and a sum.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from understudy.ops import at_least_float32

SLOPE = 0.1  # of the leaky ReLUs, as in the authors' code


def layers(layer: type[nn.Conv2d] | type[nn.ConvTranspose2d], *widths: int) -> nn.Sequential:
    """3x3 layers from each width to the next, every one followed by a leaky ReLU; H x W stays."""
    stages = []
    for width_in, width_out in zip(widths[:-1], widths[1:], strict=True):
        stages += [layer(width_in, width_out, kernel_size=3, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*stages)


def factor_width(teacher_shape: tuple[int, ...], rate: float) -> int:
    """How many channels a factor has: the rate times the width C of the teacher's (B, C, H, W), one at least.

    Raises ValueError for a rate that is not above 0.
    """
    if not rate > 0:
        raise ValueError(f"rate={rate}: expected a share of the teacher's channels above 0, such as 0.5")
    return max(1, round(rate * teacher_shape[1]))


class Paraphraser(nn.Module):
    """An autoencoder of the teacher's features; its code is the factor that the student is to produce.

    Raises ValueError for a rate that is not above 0.
    """

    def __init__(self, teacher_shape: tuple[int, ...], rate: float = 0.5):
        super().__init__()
        width, factors = teacher_shape[1], factor_width(teacher_shape, rate)
        self.encoder = layers(nn.Conv2d, width, width, factors, factors)
        self.decoder = layers(nn.ConvTranspose2d, factors, factors, width, width)

    def encode(self, feature: Tensor) -> Tensor:
        """The teacher's factor: (B, C, H, W) -> (B, rate C, H, W)."""
        return self.encoder(feature)

    def forward(self, feature: Tensor) -> Tensor:
        """The mean absolute error with which the teacher's features come back: (B, C, H, W) -> ()."""
        feature = feature.detach()
        return F.l1_loss(at_least_float32(self.decoder(self.encode(feature))), at_least_float32(feature))


class Translator(nn.Module):
    """The student's half: from its features to the paraphraser's factors, (B, C, H, W) -> (B, rate C_t, H, W).

    Raises ValueError for a rate that is not above 0.
    """

    def __init__(self, student_shape: tuple[int, ...], teacher_shape: tuple[int, ...], rate: float = 0.5):
        super().__init__()
        width, factors = student_shape[1], factor_width(teacher_shape, rate)
        self.encoder = layers(nn.Conv2d, width, width, factors, factors)

    def forward(self, feature: Tensor) -> Tensor:
        return self.encoder(feature)


def unit_factor(factor: Tensor) -> Tensor:
    """Each image's factor as one vector of length 1: (B, ...) -> (B, N). A factor of zeros stays zero."""
    flat_BN = at_least_float32(factor).flatten(1)
    norm_B1 = torch.linalg.vector_norm(flat_BN, dim=1, keepdim=True)
    return flat_BN / torch.where(norm_B1 > 0, norm_B1, 1.0)


def factor(student_factor: Tensor, teacher_factor: Tensor) -> Tensor:
    """Mean absolute difference of the factors, each image's scaled to unit length over all of its elements.

    (B, ...), (B, ...) -> (), averaged over the elements and the batch. A positive scale of an image's factor, on
    either side, changes nothing; at most 2 / sqrt(N) for N elements. The authors' weight 500 belongs to this mean.
    Raises ValueError for unequal shapes.
    """
    if student_factor.shape != teacher_factor.shape:
        raise ValueError(
            f"factor: found {tuple(student_factor.shape)} for the student and {tuple(teacher_factor.shape)} for the "
            "teacher, expected equal shapes; build the Translator with the Paraphraser's shape and rate and resize "
            "the maps to one H x W"
        )
    return F.l1_loss(unit_factor(student_factor), unit_factor(teacher_factor.detach()))


def factor_transfer(student_factor: Tensor, teacher: Tensor, guide: Paraphraser) -> Tensor:
    """`factor` between the translator's output and the factor that the frozen paraphraser reads from the teacher.

    (B, rate C_t, H, W), (B, C_t, H, W) -> (). Neither the teacher nor the paraphraser gets a gradient.
    """
    with torch.no_grad():
        teacher_factor = guide.encode(teacher)
    return factor(student_factor, teacher_factor)
