"""The losses as their papers write them, in plain PyTorch: what the library's are compared with.

Nothing here is meant to be fast or lean. Each function takes what the library's takes and returns the same number.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def kd(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    wanted = F.softmax(teacher / temperature, dim=1)
    own = F.log_softmax(student / temperature, dim=1)
    return temperature**2 * (wanted * (torch.log(wanted) - own)).sum() / len(student)


def ab(student: Tensor, teacher: Tensor, margin: float = 1.0) -> Tensor:
    """Equation 6 of the paper, as its authors' program has it: one product with a mask for each side."""
    below = ((student > -margin) & (teacher <= 0)).float()
    above = ((student <= margin) & (teacher > 0)).float()
    loss = (student + margin) ** 2 * below + (student - margin) ** 2 * above
    return loss.abs().sum() / len(student)


def ofd(student: Tensor, teacher: Tensor, margin_C: Tensor) -> Tensor:
    """The margin ReLU and the partial L2 distance, as the authors' program has them."""
    wanted = torch.max(teacher, margin_C[None, :, None, None])
    loss = (student - wanted) ** 2
    counts = ((student > wanted) | (wanted > 0)).float()
    return (loss * counts).sum() / len(student)


def at(student: Tensor, teacher: Tensor) -> Tensor:
    """The sum over positions of the squared difference of the unit maps."""
    own, wanted = (F.normalize(f.pow(2).mean(1).view(len(f), -1)) for f in (student, teacher))
    return (own - wanted).pow(2).sum() / len(student)


def fitnet(student: Tensor, teacher: Tensor) -> Tensor:
    return 0.5 * ((student - teacher) ** 2).sum() / len(student)


def fsp(student_front: Tensor, student_back: Tensor, teacher_front: Tensor, teacher_back: Tensor) -> Tensor:
    """Batched products of the flattened maps; the larger one is max-pooled."""

    def flow(front: Tensor, back: Tensor) -> Tensor:
        front = F.adaptive_max_pool2d(front, back.shape[2:])
        return torch.bmm(front.flatten(2), back.flatten(2).transpose(1, 2)) / front[0, 0].numel()

    difference = flow(student_front, student_back) - flow(teacher_front, teacher_back)
    return difference.pow(2).sum() / len(student_front)


def nst_polynomial(student: Tensor, teacher: Tensor) -> Tensor:
    """Equation 4: the mean over all pairs of channels, each product formed from the two channels."""
    own, wanted = (F.normalize(f.flatten(2), dim=2) for f in (student, teacher))

    def mean_kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x[:, :, None] * y[:, None]).sum(-1).pow(2).mean(dim=(1, 2))

    return (mean_kernel(own, own) + mean_kernel(wanted, wanted) - 2 * mean_kernel(own, wanted)).mean()


def nst_gaussian(student: Tensor, teacher: Tensor) -> Tensor:
    """Equation 4 with exp(-|x - y|^2 / (2 variance)), the variance being the cross pairs' mean for each image."""
    own, wanted = (F.normalize(f.flatten(2), dim=2) for f in (student, teacher))

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return (x[:, :, None] - y[:, None]).pow(2).sum(-1)

    cross = distance(own, wanted)
    variance = cross.detach().mean(dim=(1, 2), keepdim=True)
    parts = [
        (-d / (2 * variance)).exp().mean(dim=(1, 2)) for d in (distance(own, own), distance(wanted, wanted), cross)
    ]
    return (parts[0] + parts[1] - 2 * parts[2]).mean()


def rkd(student: Tensor, teacher: Tensor) -> Tensor:
    """Once the distances' term and twice the angles', from the normalised differences of all pairs, as RepDistiller."""

    def distances(x: Tensor) -> Tensor:
        square = x.pow(2).sum(1)
        found = (square[:, None] + square[None] - 2 * x @ x.t()).clamp(min=1e-12).sqrt()
        found = found * (1 - torch.eye(len(x), dtype=x.dtype))
        return found / found[found > 0].mean()

    def angles(x: Tensor) -> Tensor:
        difference = F.normalize(x[None] - x[:, None], p=2, dim=2)
        return torch.bmm(difference, difference.transpose(1, 2)).view(-1)

    with torch.no_grad():
        wanted_distance, wanted_angle = distances(teacher), angles(teacher)
    return F.smooth_l1_loss(distances(student), wanted_distance) + 2 * F.smooth_l1_loss(angles(student), wanted_angle)


def kd_svd(student_front: Tensor, student_back: Tensor, teacher_front: Tensor, teacher_back: Tensor) -> Tensor:
    """One vector of each map from a full decomposition that autograd differentiates; signs are the library's."""

    def leading(feature: Tensor, count: int) -> Tensor:
        vectors = torch.linalg.svd(feature.flatten(2).transpose(1, 2), full_matrices=False)[2][:, :count].transpose(
            1, 2
        )
        return vectors * torch.where(vectors.sum(1, keepdim=True) < 0, -1.0, 1.0)

    def pair(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            wanted = leading(teacher, 1)
        candidates = leading(student, 2)
        cosine = candidates.transpose(1, 2) @ wanted
        best = cosine.abs().argmax(1, keepdim=True)
        own = candidates.gather(2, best.expand_as(wanted)) * torch.where(cosine.gather(1, best) < 0, -1.0, 1.0)
        return own, wanted

    (own_front, wanted_front), (own_back, wanted_back) = (
        pair(student_front, teacher_front),
        pair(student_back, teacher_back),
    )
    own = torch.exp(-((own_front[:, :, None] - own_back[:, None]) ** 2) / 8)
    wanted = torch.exp(-((wanted_front[:, :, None] - wanted_back[:, None]) ** 2) / 8)
    return (own - wanted).pow(2).sum() / len(student_front)


def ft(student_factor: Tensor, teacher_factor: Tensor) -> Tensor:
    own, wanted = (F.normalize(f.reshape(len(f), -1)) for f in (student_factor, teacher_factor))
    return (own - wanted).abs().mean()


def negative_mean(mean_C: Tensor, std_C: Tensor) -> Tensor:
    """The margins of OFD, one channel after the other."""
    margins = []
    for mean, std in zip(mean_C.tolist(), std_C.abs().tolist(), strict=True):
        below = 0.5 * math.erfc(mean / std / math.sqrt(2))
        margins.append(mean - std * math.exp(-((mean / std) ** 2) / 2) / math.sqrt(2 * math.pi) / below)
    return torch.tensor(margins, dtype=mean_C.dtype)
