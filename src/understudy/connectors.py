"""Learnt adapters on the student's side, built for one position once its shapes are known.

They are trained with the student and dropped afterwards; the exported student does not hold them.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn


class Conv1x1BN(nn.Module):
    """A 1x1 convolution without bias and a BatchNorm: (B, C_student, H, W) -> (B, C_teacher, H, W).

    Raises ValueError where the two positions differ in height or width.
    """

    def __init__(self, student_shape: Sequence[int], teacher_shape: Sequence[int]):
        super().__init__()
        check_same_size(student_shape, teacher_shape)
        out_channels = teacher_shape[1]
        self.conv = nn.Conv2d(student_shape[1], out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.normal_(self.conv.weight, std=math.sqrt(2.0 / out_channels))

    def forward(self, feature: Tensor) -> Tensor:
        return self.bn(self.conv(feature))


def match_width(student_shape: Sequence[int], teacher_shape: Sequence[int]) -> nn.Module:
    """A Conv1x1BN where the widths differ, the identity (and no BatchNorm) where they are equal.

    As in the AB authors' code: equal widths are compared neuron by neuron.
    """
    check_same_size(student_shape, teacher_shape)
    return nn.Identity() if student_shape[1] == teacher_shape[1] else Conv1x1BN(student_shape, teacher_shape)


def check_same_size(student_shape: Sequence[int], teacher_shape: Sequence[int]) -> None:
    """Raises ValueError unless both are maps (B, C, H, W) of one height and width."""
    if len(student_shape) != 4 or len(teacher_shape) != 4:
        raise ValueError(
            f"a 1x1 convolution connects maps (B, C, H, W); found the student's {tuple(student_shape)} "
            f"and the teacher's {tuple(teacher_shape)}"
        )
    if tuple(student_shape[2:]) != tuple(teacher_shape[2:]):
        raise ValueError(
            f"the student's map has {student_shape[2]}x{student_shape[3]} positions, the teacher's "
            f"{teacher_shape[2]}x{teacher_shape[3]}; choose positions of one size "
            f"(`understudy layers TEACHER --student STUDENT` lists them)"
        )
