"""Flow of the solution procedure.

Yim, Joo, Bae & Kim, "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer
Learning", CVPR 2017, section 3.

Differs from the paper, as far as it is known to us: the matrices join the ends of consecutive groups, so that the first
group's own flow is not matched, where the paper joins the first and last layer of each; students of other widths have
connectors; the share of the first phase is that of AB's authors.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from understudy.ops import at_least_float32, full_precision

# Shapes: B images, C and D channels of the front and the back map, H x W positions, P = H * W.


def flow_matrix(front_BCHW: Tensor, back_BDHW: Tensor) -> Tensor:
    """How two maps of one network go together: the mean over positions of front_c back_d, one matrix per image.

    (B, C, H, W), (B, D, H', W') -> (B, C, D). Where sizes differ, the larger map is max-pooled to the smaller. A
    permutation of the positions of both maps changes nothing; a scale of either map scales the matrix. Raises
    ValueError for features that are no maps of the same images.
    """
    if front_BCHW.ndim != 4 or back_BDHW.ndim != 4:
        raise ValueError(
            f"a flow matrix joins two maps (B, C, H, W); found {tuple(front_BCHW.shape)} in front and "
            f"{tuple(back_BDHW.shape)} behind: read both before the positions are pooled away"
        )
    if len(front_BCHW) != len(back_BDHW):
        raise ValueError(f"a flow matrix joins maps of the same images; found {len(front_BCHW)} and {len(back_BDHW)}")
    front, back = at_least_float32(front_BCHW), at_least_float32(back_BDHW)
    if front.shape[2:] != back.shape[2:]:
        size = min(front.shape[2], back.shape[2]), min(front.shape[3], back.shape[3])
        front, back = F.adaptive_max_pool2d(front, size), F.adaptive_max_pool2d(back, size)
    front_BCP, back_BDP = front.flatten(2), back.flatten(2)
    with full_precision(front):
        return torch.bmm(front_BCP, back_BDP.transpose(1, 2)) / front_BCP.shape[2]


def fsp(student_front: Tensor, student_back: Tensor, teacher_front: Tensor, teacher_back: Tensor) -> Tensor:
    """Squared Frobenius distance of the two flow matrices, averaged over the batch.

    (B, C, H, W), (B, D, H', W') of the student and the same of the teacher -> (). Widths must be equal; sizes need
    not. Raises ValueError for unequal widths and for features that are no maps.
    """
    student_BCD = flow_matrix(student_front, student_back)
    teacher_BCD = flow_matrix(teacher_front.detach(), teacher_back.detach())
    if student_BCD.shape != teacher_BCD.shape:
        raise ValueError(
            f"flow matrices are compared entry by entry; found {tuple(student_BCD.shape)} of the student and "
            f"{tuple(teacher_BCD.shape)} of the teacher, as (B, C_front, C_back): put a 1x1 connector (MatchWidth or "
            "Conv1x1BN) on the student's maps to give them the teacher's widths"
        )
    return (student_BCD - teacher_BCD).square().sum() / student_BCD.shape[0]
