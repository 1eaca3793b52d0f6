"""Do student and teacher make a pair: two networks, the larger one teaching?"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from understudy.engine.doctor.finding import Finding
from understudy.engine.doctor.odds import is_better
from understudy.models import is_for_32_pixels
from understudy.modes import evaluating, undisturbed
from understudy.teachers import Teachers

CHECK = "student and teacher"
LARGEST_FOR_CIFAR = 64


def shared(student: nn.Module, teacher: nn.Module) -> list[Finding]:
    """An error where the two share parameters, a warning where one starts with a copy of the other's.

    Rule: the same tensors in memory; or a state of the same names with equal values, all of them.
    """
    own = {id(parameter) for parameter in student.parameters()}
    num_shared = sum(id(parameter) in own for parameter in teacher.parameters())
    if num_shared:
        return [
            Finding(
                check=CHECK,
                severity="error",
                found=f"student and teacher share {num_shared:,} of the student's {len(own):,} parameters.",
                why="The teacher is frozen, and these would be too.",
                do="give the student a network of its own (copy.deepcopy)",
            )
        ]
    if not _is_copy(student, teacher):
        return []
    return [
        Finding(
            check=CHECK,
            severity="warning",
            found="the student starts with the very weights of the teacher.",
            why="There is nothing left that it could learn from it.",
            do="leave out --weights, or give the teacher's file to the teacher alone",
        )
    ]


def _is_copy(student: nn.Module, teacher: nn.Module) -> bool:
    own, others = student.state_dict(), teacher.state_dict()
    return own.keys() == others.keys() and all(
        own[name].shape == others[name].shape and torch.equal(own[name], others[name]) for name in own
    )


def enlarged(teacher: nn.Module, data_size: int | None) -> list[Finding]:
    """A warning where the images are scaled down to data.size and up again for the teacher.

    Rule: data.size is given, and smaller than what the teacher was trained on. Images that come that small are as good
    as they get.
    """
    wanted = max([max(size) for size in teacher.sizes if size] if isinstance(teacher, Teachers) else [], default=0)
    if data_size is None or wanted <= data_size:
        return []
    return [
        Finding(
            check=CHECK,
            severity="warning",
            found=f"images are scaled to {data_size}x{data_size}, and for the teacher up again to {wanted}x{wanted}.",
            why="It sees none of the detail that it learnt from.",
            do=f"data.size={wanted} student.size={data_size}: the teacher sees the images, the student small ones",
        )
    ]


def meant_for(models: Sequence[str], side: int) -> list[Finding]:
    """A warning for a network of CIFAR's that is to see images of more than 64 pixels a side."""
    small = [name for name in dict.fromkeys(models) if side > LARGEST_FOR_CIFAR and is_for_32_pixels(name)]
    return [
        Finding(
            check=CHECK,
            severity="warning",
            found=f"{name} is a network for images of 32 pixels, and these have {side}.",
            why="Its first maps are as large as the images: a step has "
            f"{(side / 32) ** 2:.0f} times the products of one on 32 pixels.",
            do=f"a network for large images (torchvision:resnet18, timm:NAME), or data.size={LARGEST_FOR_CIFAR}",
        )
        for name in small
    ]


@torch.no_grad()
def probabilities(role: str, network: nn.Module, shape: Sequence[int]) -> list[Finding]:
    """An error where a network answers two images with numbers from 0 to 1 that add up to 1.

    Logits do so by no accident: the rule allows for rounding alone.
    """
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    images = torch.stack([torch.zeros(*shape), torch.ones(*shape)]).to(device)
    with undisturbed(network), evaluating(network):
        answer = network(images)
    if not isinstance(answer, Tensor) or answer.ndim != 2 or answer.shape[1] < 2 or bool((answer < 0).any()):
        return []
    if not torch.allclose(answer.float().sum(dim=1), torch.ones(2, device=answer.device), atol=1e-3):
        return []
    return [
        Finding(
            check="answers",
            severity="error",
            found=f"the {role} answers probabilities, and logits are expected.",
            why="The softmax of a softmax is nearly the same for all classes: little is learnt from it.",
            do=f"leave the softmax at the end of the {role} out",
        )
    ]


def sizes(student: int, teacher: int) -> list[Finding]:
    """A warning where the teacher has fewer parameters than the student; as many are a method of their own."""
    if teacher >= student:
        return []
    return [
        Finding(
            check=CHECK,
            severity="warning",
            found=f"the teacher has {teacher:,} parameters, the student {student:,}.",
            why="A network that is smaller than its student seldom knows more.",
            do="look whether --teacher and --student are exchanged",
        )
    ]


def accuracies(student: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor) -> list[Finding]:
    """A warning where a student with weights of its own already answers better than its teacher: (N,) each.

    Rule: a sign test on the sampled test images, at the level 1e-4.
    """
    if not is_better(student, teacher, labels, 1e-4):
        return []
    own, other = (100 * (answers == labels).double().mean() for answers in (student, teacher))
    return [
        Finding(
            check=CHECK,
            severity="warning",
            found=f"the student, as it starts, is right on {own:.1f} % of {len(labels):,} test images, the teacher on "
            f"{other:.1f} %.",
            why="It would unlearn what it knows.",
            do="look whether the weights are exchanged, or take a better teacher",
        )
    ]
