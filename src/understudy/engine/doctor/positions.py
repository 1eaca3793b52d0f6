"""Are the features that are compared alive, and from before the activation where the method wants them so?"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from understudy.distiller import Distiller
from understudy.engine.doctor.case import Case
from understudy.engine.doctor.finding import Finding
from understudy.methods import LOGITS
from understudy.modes import evaluating
from understudy.spec import few
from understudy.taps import Position, Tapped

BEFORE_ACTIVATION = "before_relu"
MOST_DEAD = 0.5


def positions(case: Case) -> list[Finding]:
    """Findings about every pair of positions that the method's terms compare, read on a few training images.

    Networks are read in evaluation mode, the student with the weights it starts with.
    """
    distiller = case.distiller
    if distiller.teacher is None:
        return []
    teacher = _read(
        distiller.teacher, [site.teacher.name for sites in distiller.sites.values() for site in sites], case
    )
    student = _read(
        distiller.student, [site.student.name for sites in distiller.sites.values() for site in sites], case
    )
    found = not_before(case, student, teacher) + dead(teacher)
    names = [name for name in teacher if name != LOGITS]
    if found or not names:
        return found
    return [Finding(check="positions", severity="fine", found=f"the teacher's {few(names)} are alive")]


def not_before(case: Case, student: dict[str, Tensor], teacher: dict[str, Tensor]) -> list[Finding]:
    """A warning where a position of the role "before_relu" has values, and none of them is negative."""
    features = {"student": student, "teacher": teacher}
    return _lost(
        (f"the {whose}'s {place.name} has no negative value on {len(case.images)} images", term)
        for whose, place, term in _read_before(case.distiller)
        if _is_rectified(features[whose].get(place.name))
    )


def named_after(distiller: Distiller) -> list[Finding]:
    """A warning where a position of the role "before_relu" is the output of an activation, as the network is built."""
    return _lost(
        (f"the {whose}'s {place.name} comes {place.activation}", term)
        for whose, place, term in _read_before(distiller)
        if place.activation.startswith("after ")
    )


def _read_before(distiller: Distiller) -> Iterator[tuple[str, Position, str]]:
    """("student" or "teacher", the position, the term) of all that is read as from before an activation."""
    for term in distiller.method.terms:
        for site in distiller.sites[term.name]:
            sides = ("student", site.student, term.tap), ("teacher", site.teacher, term.teacher_tap or term.tap)
            yield from ((whose, place, term.name) for whose, place, role in sides if role == BEFORE_ACTIVATION)


def _lost(places: Iterable[tuple[str, str]]) -> list[Finding]:
    """A finding for each place in words, with all terms that read it."""
    found: dict[str, list[str]] = {}
    for place, term in places:
        found.setdefault(place, []).append(term)
    return [
        Finding(
            check="before activation",
            severity="warning",
            found=f"{place}, and {few(terms)} reads it as a position before an activation.",
            why="What is told apart there is how far below zero a neuron is; after the activation that is lost.",
            do="name the layer before it, in terms.NAME.positions or the network's taps; understudy layers shows them",
        )
        for place, terms in found.items()
    ]


def dead(teacher: dict[str, Tensor]) -> list[Finding]:
    """An error for a position of the teacher that is zero everywhere, a warning where more than half its channels are.

    Rule: exactly zero on all the images; of maps (B, C, H, W) and vectors (B, C) alone, tokens as a whole.
    """
    found = []
    for name, feature in teacher.items():
        if not feature.any():
            found.append(_dead(name, "is zero everywhere", "error"))
        elif feature.ndim in (2, 4) and name != LOGITS:
            alive = feature.transpose(0, 1).flatten(1).any(dim=1)
            share = 1.0 - float(alive.double().mean())
            if share > MOST_DEAD:
                told = f"has {int((~alive).sum()):,} of {len(alive):,} channels that are zero everywhere"
                found.append(_dead(name, told, "warning"))
    return found


def _dead(name: str, told: str, severity: str) -> Finding:
    return Finding(
        check="dead positions",
        severity="error" if severity == "error" else "warning",
        found=f"the teacher's {name} {told}.",
        why="There is nothing there to be learnt.",
        do="take another position, or look at the teacher's normalisation and weights",
    )


def _is_rectified(feature: Tensor | None) -> bool:
    return feature is not None and bool(feature.any()) and not bool((feature < 0).any())


@torch.no_grad()
def _read(network: nn.Module, names: list[str], case: Case) -> dict[str, Tensor]:
    """The tensors at these positions; modes are put back."""
    wanted = [name for name in dict.fromkeys(names) if name != LOGITS]
    with Tapped(network, wanted, case.images) as reader, evaluating(network), case.precision.autocast():
        return reader(case.images)[1]
