"""How far student and teacher draw the same activation boundaries, layer by layer."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from understudy.distiller import Distiller
from understudy.losses import activation_agreement
from understudy.modes import evaluating
from understudy.precision import Precision
from understudy.taps import Position, Tapped, as_map, pairs

ROLE = "before_relu"


class Agreement:
    """The share of equal signs before the activations, measured on one batch.

    Where the widths differ it is read through the method's trained connector; without one such a layer has no value.
    Built before the networks are compiled, because it attaches readers to them.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, distiller: Distiller, images: Tensor):
        self.layers = {}
        for own, wanted, connector in _compared(student, teacher, distiller, images):
            shapes = [as_map(torch.empty(one.shape, device="meta"), one.image_size).shape for one in (own, wanted)]
            if shapes[0][2:] == shapes[1][2:] and _answer_to(connector, shapes[0], images) == shapes[1]:
                self.layers[own.name] = (own, wanted, connector)
        self.student = student
        self.teacher = teacher
        self.read_student = Tapped(student, list(self.layers), images)
        self.read_teacher = Tapped(teacher, [wanted.name for _, wanted, _ in self.layers.values()], images)

    def remove(self) -> None:
        """Take the readers off the networks."""
        self.read_student.remove()
        self.read_teacher.remove()

    @torch.no_grad()
    def measure(self, images: Tensor, precision: Precision) -> dict[str, float]:
        """Student position -> fraction in [0, 1], in evaluation mode; modes are put back."""
        if not self.layers:
            return {}
        connectors = [connector for _, _, connector in self.layers.values()]
        with evaluating(self.student, self.teacher, *connectors), precision.autocast():
            _, student = self.read_student(images)
            _, teacher = self.read_teacher(images)
            return self._compare(student, teacher)

    def _compare(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> dict[str, float]:
        values = {}
        for name, (at_student, at_teacher, connector) in self.layers.items():
            own = as_map(student[name], at_student.image_size)
            wanted = as_map(teacher[at_teacher.name], at_teacher.image_size)
            values[name] = float(activation_agreement(connector(own), wanted))
        return values


def _compared(
    student: nn.Module, teacher: nn.Module, distiller: Distiller, images: Tensor
) -> list[tuple[Position, Position, nn.Module]]:
    """The pairs of positions of the role, in order, and what the student's is read through.

    Where a term compares a position of the student, it is with the term's own partner, through its connector.
    """
    found: dict[str, tuple[Position, Position, nn.Module]] = {
        own.name: (own, wanted, nn.Identity()) for own, wanted in pairs(student, teacher, ROLE, images)
    }
    for term in distiller.method.terms:
        if term.tap == ROLE and (term.teacher_tap or ROLE) == ROLE:
            connectors = distiller.comparison(term.name).students
            for site, connector in zip(distiller.sites[term.name], connectors, strict=True):
                found[site.student.name] = (site.student, site.teacher, connector)
    return [*found.values()]


@torch.no_grad()
def _answer_to(connector: nn.Module, shape: tuple[int, ...], images: Tensor) -> tuple[int, ...]:
    """The shape that the connector makes of one; it stays as it was."""
    with evaluating(connector):
        return tuple(connector(images.new_zeros(shape)).shape)
