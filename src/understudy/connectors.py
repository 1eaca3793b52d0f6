"""Learnt layers on the student's side, built for one position once its shapes are known.

They are trained with the student and dropped afterwards; the exported student does not hold them. Shapes come with
the batch in front: (B, C, H, W) of maps, which the distiller has brought to one size by then, and (B, d) of vectors.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn


class Conv1x1BN(nn.Module):
    """A 1x1 convolution without bias and a BatchNorm: (B, C_student, H, W) -> (B, C_teacher, H, W).

    Initialised as the AB authors do. Raises ValueError for anything but maps of one height and width.
    """

    def __init__(self, student_shape: Sequence[int], teacher_shape: Sequence[int]):
        super().__init__()
        check_maps(student_shape, teacher_shape)
        out_channels = teacher_shape[1]
        self.conv = nn.Conv2d(student_shape[1], out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.normal_(self.conv.weight, std=math.sqrt(2.0 / out_channels))

    def forward(self, feature: Tensor) -> Tensor:
        return self.bn(self.conv(feature))


class MatchWidth(nn.Sequential):
    """A Conv1x1BN where the widths differ, the identity (and no BatchNorm) where they are equal.

    (B, C_student, H, W) -> (B, C_teacher, H, W). As in the AB authors' code: equal widths are compared neuron by
    neuron. Raises ValueError for anything but maps of one height and width.
    """

    def __init__(self, student_shape: Sequence[int], teacher_shape: Sequence[int]):
        check_maps(student_shape, teacher_shape)
        equal = student_shape[1] == teacher_shape[1]
        super().__init__(*([] if equal else [Conv1x1BN(student_shape, teacher_shape)]))


class LinearHead(nn.Linear):
    """A classifier or projection with a bias: (B, d_student) -> (B, d_teacher).

    It starts as PyTorch's layers do, as the AB authors' head for DTL. Raises ValueError for anything but vectors.
    """

    def __init__(self, student_shape: Sequence[int], teacher_shape: Sequence[int]):
        _check_vectors(student_shape, teacher_shape)
        super().__init__(student_shape[1], teacher_shape[1])


class MatchLength(nn.Sequential):
    """A linear map without bias where vectors differ in length, the identity where they are equally long.

    (B, d_student) -> (B, d_teacher). Raises ValueError for anything but vectors.
    """

    def __init__(self, student_shape: Sequence[int], teacher_shape: Sequence[int]):
        _check_vectors(student_shape, teacher_shape)
        sizes = student_shape[1], teacher_shape[1]
        super().__init__(*([] if sizes[0] == sizes[1] else [nn.Linear(*sizes, bias=False)]))


def check_maps(student_shape: Sequence[int], teacher_shape: Sequence[int]) -> None:
    """Raises ValueError unless both are maps (B, C, H, W) of one height and width."""
    if len(student_shape) != 4 or len(teacher_shape) != 4:
        raise ValueError(
            f"a 1x1 convolution connects maps (B, C, H, W); found the student's {tuple(student_shape)} "
            f"and the teacher's {tuple(teacher_shape)}. Tokens (B, N, C) count as maps where they fill a grid in the "
            f"image's proportions; for vectors there are LinearHead and MatchLength"
        )
    if tuple(student_shape[2:]) != tuple(teacher_shape[2:]):
        raise ValueError(
            f"the student's map has {student_shape[2]}x{student_shape[3]} positions, the teacher's "
            f"{teacher_shape[2]}x{teacher_shape[3]}; average the larger one down first (understudy.taps.to_size)"
        )


def _check_vectors(student_shape: Sequence[int], teacher_shape: Sequence[int]) -> None:
    if len(student_shape) != 2 or len(teacher_shape) != 2:
        raise ValueError(
            f"a linear layer connects vectors (B, d); found the student's {tuple(student_shape)} and the teacher's "
            f"{tuple(teacher_shape)}. Read the student at 'embedding', or connect maps with Conv1x1BN"
        )
