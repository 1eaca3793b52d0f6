"""Neuron selectivity transfer.

Huang & Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", arXiv 1707.01219, section 4.

A layer's channels, each a unit vector over positions, are samples; the loss is the squared maximum mean discrepancy of
the student's and the teacher's, with every pair and the diagonals counted (equation 4).

Differs from the paper: equations 9 and 10 compare the Gram matrices over positions without dividing them by the
numbers of channels. That is not equation 4 and cannot become zero where widths differ, so the numbers are put back.
The Gaussian kernel's variance, in the paper the mean squared distance of "the pairs", is taken over the pairs of one
channel of the student and one of the teacher, for each image, and is not differentiated. The teacher's own term, which
the authors' code leaves out, is kept: up to rounding the loss is never negative, and zero where both agree.
"""

from difflib import get_close_matches

import torch
from torch import Tensor

from understudy.ops import at_least_float32, full_precision, unit_vectors

# Shapes: B images, C and D channels of the student and the teacher, H x W positions, P = H * W.


def nst(student: Tensor, teacher: Tensor, kernel: str = "polynomial") -> Tensor:
    """Squared maximum mean discrepancy of the two sets of unit channels, averaged over the batch.

    (B, C, H, W), (B, D, H, W) -> (), for a kernel "linear" (x.y), "polynomial" ((x.y)^2) or "gaussian". The order
    of the channels, a positive scale of each and repeating all of them equally often do not change it, nor does
    moving the positions of both maps alike; with "polynomial" neither do the channels' signs. A channel of all
    zeros counts as a zero vector and receives a zero gradient. Raises ValueError for another kernel, and for maps
    of other images or sizes.
    """
    if kernel not in KERNELS:
        near = get_close_matches(kernel, KERNELS, n=1, cutoff=0.0)
        raise ValueError(f"there is no kernel {kernel!r}; known: {', '.join(KERNELS)}; nearest: {near[0]}")
    if student.ndim != 4 or teacher.ndim != 4 or _without_channels(student) != _without_channels(teacher):
        raise ValueError(
            f"channels are compared over the same positions of the same images; found {tuple(student.shape)} of the "
            f"student and {tuple(teacher.shape)} of the teacher, expected (B, C, H, W) with equal B and H x W: pool "
            "the larger map to the size of the smaller first"
        )
    student_BCP, teacher_BDP = _unit_channels(student), _unit_channels(teacher.detach())
    with full_precision(student):
        return KERNELS[kernel](student_BCP, teacher_BDP).mean()


def _without_channels(feature_BCHW: Tensor) -> tuple[int, ...]:
    return feature_BCHW.shape[0], *feature_BCHW.shape[2:]


def _unit_channels(feature_BCHW: Tensor) -> Tensor:
    return unit_vectors(at_least_float32(feature_BCHW).flatten(2))


def _linear(student_BCP: Tensor, teacher_BDP: Tensor) -> Tensor:
    return (student_BCP.mean(dim=1) - teacher_BDP.mean(dim=1)).square().sum(dim=1)


def _polynomial(student_BCP: Tensor, teacher_BDP: Tensor) -> Tensor:
    """The mean of (x.y)^2 over pairs of channels is a product of Gram matrices over positions: the cheaper is taken."""
    num_student, num_teacher, num_positions = student_BCP.shape[1], teacher_BDP.shape[1], student_BCP.shape[2]
    pairs = num_student**2 + num_teacher**2 + num_student * num_teacher
    if (num_student + num_teacher) * num_positions < pairs:
        student_BPP = torch.bmm(student_BCP.transpose(1, 2), student_BCP) / num_student
        teacher_BPP = torch.bmm(teacher_BDP.transpose(1, 2), teacher_BDP) / num_teacher
        return (student_BPP - teacher_BPP).square().sum(dim=(1, 2))
    return _discrepancy(*(dot.square() for dot in _dots(student_BCP, teacher_BDP)))


def _gaussian(student_BCP: Tensor, teacher_BDP: Tensor) -> Tensor:
    """exp(-|x - y|^2 / (2 variance)), a variance that is zero up to rounding being replaced by 1."""
    own, wanted, cross = _dots(student_BCP, teacher_BDP)
    # Squared norms are 1, or 0 for a channel of all zeros. They are constants: what moves a unit vector turns it.
    student_BC = student_BCP.detach().square().sum(dim=2)
    teacher_BD = teacher_BDP.square().sum(dim=2)
    own, wanted = _distances(own, student_BC, student_BC), _distances(wanted, teacher_BD, teacher_BD)
    cross = _distances(cross, student_BC, teacher_BD)
    variance_B11 = cross.detach().mean(dim=(1, 2), keepdim=True)
    rounding = 16 * torch.finfo(cross.dtype).eps
    variance_B11 = torch.where(variance_B11 > rounding, variance_B11, 1.0)
    return _discrepancy(*((-distance / (2 * variance_B11)).exp() for distance in (own, wanted, cross)))


def _dots(student_BCP: Tensor, teacher_BDP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x.y for the pairs student-student, teacher-teacher and student-teacher."""
    turned_BPC, turned_BPD = student_BCP.transpose(1, 2), teacher_BDP.transpose(1, 2)
    return (
        torch.bmm(student_BCP, turned_BPC),
        torch.bmm(teacher_BDP, turned_BPD),
        torch.bmm(student_BCP, turned_BPD),
    )


def _distances(dot_BCD: Tensor, left_BC: Tensor, right_BD: Tensor) -> Tensor:
    """|x - y|^2 of all pairs, from |x|^2, |y|^2 and x.y."""
    return left_BC[:, :, None] + right_BD[:, None, :] - 2 * dot_BCD


def _discrepancy(own_BCC: Tensor, wanted_BDD: Tensor, cross_BCD: Tensor) -> Tensor:
    return own_BCC.mean(dim=(1, 2)) + wanted_BDD.mean(dim=(1, 2)) - 2 * cross_BCD.mean(dim=(1, 2))


KERNELS = {"linear": _linear, "polynomial": _polynomial, "gaussian": _gaussian}
