"""Jacobian matching against its plain form: a whole step of the method, and the student's side of the loss alone.

Plain is what one writes from the paper: the networks in float32, NCHW, torch.autograd.grad(create_graph=True) towards
the images at each of the three layers, and torch's own derivatives of that. A step is both networks' forwards and
input gradients, the method's losses, and backward. On the student's side alone the teacher's gradients are given, as
other losses are given the teacher's features. Ours is the library's in several precisions; none of it is compiled.

    python -m benchmarks jacobian
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import reference
from benchmarks.pair import PAPER, QUICK, Pair, float32, network
from benchmarks.timing import alternate, figures, ratios, spread
from understudy.distiller import Distiller
from understudy.losses.jacobian import attention_peak, jacobian
from understudy.methods import find
from understudy.models.wide_resnet import WideResNet
from understudy.precision import Precision, choose
from understudy.spec import RunSettings
from understudy.taps import Tapped
from understudy.twice import twice_differentiable

CPU = torch.device("cpu")
# The method's: the AT authors' 1000 times the mean over positions.
AT_WEIGHT = 1000.0

# Answers the gradients at the student's parameters.
Step = Callable[[], list[Tensor | None]]


def measure(pairs: int = 7, *, quick: bool = False) -> dict[str, Any]:
    """Seconds of plain and of ours, and the ratios of `pairs` alternating runs; one row for each precision.

    `gradients_apart` is the distance of the gradients at the student's parameters over the norm of the plain ones.
    """
    pair, pairs = (QUICK, 1) if quick else (replace(PAPER, batch_size=32), pairs)
    problem = Problem(pair)
    results = {}
    for what, plain, ours in (
        ("a step", problem.plain_step, problem.our_step),
        ("the student's side", problem.plain_student_side, problem.our_student_side),
    ):
        steps = {"plain": plain(), **{name: ours(precision) for name, precision in precisions().items()}}
        wanted, *found = [step() for step in steps.values()]
        times = alternate(steps, blocks=pairs, num_steps=1, device=CPU)
        for name, gradients in zip(precisions(), found, strict=True):
            results[f"{what}, {name}"] = {
                "plain_s": spread(times["plain"]),
                "ours_s": spread(times[name]),
                "plain_over_ours": ratios(times["plain"], times[name]),
                "gradients_apart": distance(gradients, wanted),
            }
    return results


def precisions() -> dict[str, Precision]:
    plain = float32(CPU)
    # Of these networks; what needs gradients inside the forward is not compiled.
    engine = choose(RunSettings(device="cpu", compile="off"), multiply_adds=10**9, phase_multiply_adds=0.0)
    name = f"as the engine runs it ({str(engine.dtype).removeprefix('torch.')})"
    return {"float32": plain, "float32, channels last": replace(plain, channels_last=True), name: engine}


def distance(found: Sequence[Tensor | None], wanted: Sequence[Tensor | None]) -> float:
    """|found - wanted| / |wanted| over all parameters; those that nothing reaches are left out."""
    pairs = [(own, other) for own, other in zip(found, wanted, strict=True) if own is not None and other is not None]
    apart = torch.stack([(own - other).norm() for own, other in pairs]).norm()
    return figures((apart / torch.stack([other.norm() for _, other in pairs]).norm()).item(), 2)


class Problem:
    """Two networks of random weights and one batch; every step has networks of its own."""

    def __init__(self, pair: Pair):
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.student, self.teacher = network(pair.student), network(pair.teacher).eval().requires_grad_(False)
            self.images = torch.randn(pair.batch_size, 3, pair.size, pair.size)
            self.labels = torch.randint(0, 10, (pair.batch_size,))

    # A whole step -----------------------------------------------------------------------------------------------------

    def plain_step(self) -> Step:
        student, teacher = copy.deepcopy(self.student), copy.deepcopy(self.teacher)

        def step() -> list[Tensor | None]:
            images = self.images.detach().requires_grad_()
            own, logits = maps_of(student, images)
            wanted, _ = maps_of(teacher, images)
            loss = F.cross_entropy(logits, self.labels)
            for one, other in zip(own, wanted, strict=True):
                loss = loss + AT_WEIGHT * reference.at(one, other.detach()) / one[0, 0].numel()
                with_graph = unit_gradient(one, images, create_graph=True)
                loss = loss + (with_graph - unit_gradient(other, images)).pow(2).sum() / len(images)
            return gradients_at(student, loss)

        return step

    def our_step(self, precision: Precision) -> Step:
        student, teacher = (precision.place(copy.deepcopy(one)) for one in (self.student, self.teacher))
        distiller = Distiller(student, teacher, find("jacobian"), self.images[:2])
        precision.place(distiller)
        distiller.make_teacher_lean(self.images[:2], precision.dtype)
        images = self._laid_out(precision)

        def step() -> list[Tensor | None]:
            with precision.autocast():
                answer = distiller(images, self.labels)
            return gradients_at(student, answer["loss"])

        return step

    # The student's side -----------------------------------------------------------------------------------------------

    def plain_student_side(self) -> Step:
        student, wanted = copy.deepcopy(self.student), self._wanted()

        def step() -> list[Tensor | None]:
            images = self.images.detach().requires_grad_()
            own, _ = maps_of(student, images)
            losses = [
                (unit_gradient(one, images, create_graph=True) - other).pow(2).sum() / len(images)
                for one, other in zip(own, wanted, strict=True)
            ]
            return gradients_at(student, torch.stack(losses).sum())

        return step

    def our_student_side(self, precision: Precision) -> Step:
        student = precision.place(copy.deepcopy(self.student))
        reader = Tapped(student, WideResNet.taps["group_end"], self.images[:2])
        wanted = self._wanted()

        def step() -> list[Tensor | None]:
            images = self._laid_out(precision).requires_grad_()
            with precision.autocast(), twice_differentiable():
                _, features = reader(images)
            losses = [
                # The teacher as the linear function that has the wanted gradients.
                jacobian(attention_peak(one), (images.flatten(1) * other).sum(dim=1), images)
                for one, other in zip(features.values(), wanted, strict=True)
            ]
            return gradients_at(student, torch.stack(losses).sum())

        return step

    def _wanted(self) -> list[Tensor]:
        images = self.images.detach().requires_grad_()
        return [unit_gradient(feature, images) for feature in maps_of(copy.deepcopy(self.teacher), images)[0]]

    def _laid_out(self, precision: Precision) -> Tensor:
        layout = torch.channels_last if precision.channels_last else torch.contiguous_format
        return self.images.detach().clone(memory_format=layout)


def maps_of(wide_resnet: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """The ends of the three groups, and the logits."""
    assert isinstance(wide_resnet, WideResNet)
    maps, feature = [], wide_resnet.conv1(images)
    for group in (wide_resnet.block1, wide_resnet.block2, wide_resnet.block3):
        feature = group(feature)
        maps.append(feature)
    return maps, wide_resnet.fc(F.relu(wide_resnet.bn1(feature)).mean(dim=(2, 3)))


def unit_gradient(feature: Tensor, images: Tensor, create_graph: bool = False) -> Tensor:
    """The unit gradient of the attention map's peak towards each image: (B, C, H, W), (B, ...) -> (B, J)."""
    peak = feature.pow(2).sum(dim=1).flatten(1).max(dim=1).values
    (found,) = torch.autograd.grad(peak.sum(), images, create_graph=create_graph, retain_graph=True)
    return F.normalize(found.flatten(1))


def gradients_at(student: nn.Module, loss: Tensor) -> list[Tensor | None]:
    student.zero_grad(set_to_none=True)
    loss.backward()
    return [None if parameter.grad is None else parameter.grad.clone() for parameter in student.parameters()]


if __name__ == "__main__":
    for row, found in measure().items():
        print(row, found)
