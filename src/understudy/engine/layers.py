"""The positions of a network as a table, and the pairs that would be compared."""

from collections.abc import Sequence

import torch
from rich.console import Group
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from understudy.distiller.comparisons import Site, site_of
from understudy.engine.refusal import fitting_size, refusal
from understudy.engine.student_size import images_scaled
from understudy.methods import EMBEDDING
from understudy.models import build
from understudy.taps import Position, pairs, positions, roles_of
from understudy.taps.positions import DryRun

# A term that reads each role, for an example of its positions named by hand.
TERMS = {"before_relu": "ab", "after_relu": "nst", "group_end": "at", "embedding": "selective"}


def show_layers(model: str, shape: tuple[int, int, int], num_classes: int) -> Group:
    """Every position of the network, in the order in which it is computed for an image of `shape` (C, H, W).

    Those that play a role stand out, and stand together once more at the end.
    """
    network, images = _built(model, shape, num_classes)
    roles = roles_of(network, images)
    table = _table(f"{model}: positions", "position", "kind", "shape", "parameters", "activation", "role")
    for place in positions(network, images):
        played = [role for role, names in roles.items() if place.name in names]
        table.add_row(
            place.name,
            place.kind,
            _shape(place.shape),
            f"{place.parameters:,}" if place.parameters else "",
            place.activation,
            ", ".join(played),
            style="bold" if played else None,
        )
    return Group(table, "", _summary(network, roles, images), "", _setting(("layer1=features.3", "layer2=features.6")))


def _summary(network: nn.Module, roles: dict[str, tuple[str, ...]], images: Tensor) -> Table:
    run = DryRun(network, images)
    table = _table("What methods read", "role", "said by", "positions, with their shapes")
    declared = getattr(network, "taps", {})
    for role, names in roles.items():
        places = [f"{name}  {_shape(run.find(name).value.shape)}" for name in names]
        table.add_row(role, "the network" if role in declared else "proposal", "\n".join(places))
    return table


def show_pairs(
    teacher: str,
    student: str,
    role: str,
    shape: tuple[int, int, int],
    num_classes: int,
    student_size: int | None = None,
) -> Group:
    """The pairs of positions that play `role`, and what connects them.

    `shape` is what the teacher sees, and the student too unless it sees the same images scaled to `student_size`.
    """
    other_network, images = _built(teacher, shape, num_classes)
    own_shape = shape if student_size is None else (shape[0], student_size, student_size)
    own_network, _ = _built(student, own_shape, num_classes, "--size" if student_size is None else "--student-size")
    table = _table(
        f"{role}: {student} learns from {teacher}", "student", "shape", "teacher", "shape", "activations", "connector"
    )
    with images_scaled(own_network, student_size):
        found = pairs(own_network, other_network, role, images)
    for own, wanted in found:
        table.add_row(
            own.name,
            _shape(own.shape),
            wanted.name,
            _shape(wanted.shape),
            _activations(own, wanted),
            _connection(site_of(own, wanted, pooled=role == EMBEDDING)),
        )
    setting = _setting([f"{own.name}={wanted.name}" for own, wanted in found], TERMS.get(role, "at"))
    return Group(table, "", setting)


def _setting(given: Sequence[str], term: str = "at") -> Group:
    """How positions are named by hand, to be copied into a shell: a pair on each line."""
    lines = ",\n".join(f"  {pair}" for pair in given)
    return Group(
        f"To compare others, name them in a run's settings, STUDENT=TEACHER, for a term such as {term}:",
        Text(f"terms.{term}.positions='\n{lines}'", overflow="fold"),
    )


def _activations(own: Position, wanted: Position) -> str:
    """ "before ReLU", or "before Hardswish, before ReLU" where they differ, the student's first."""
    return ", ".join(dict.fromkeys(place.activation for place in (own, wanted) if place.activation))


def _built(
    model: str, shape: tuple[int, int, int], num_classes: int, option: str = "--size"
) -> tuple[nn.Module, Tensor]:
    """The network and two images that it takes. Raises ValueError where it does not, with a size that it does."""
    network = build(model, num_classes=num_classes, in_channels=shape[0]).eval()
    images = torch.zeros(2, *shape)
    problem = refusal(network, images)
    if problem is None:
        return network, images
    fitting = fitting_size(network, shape[0])
    advice = f"give other {option} or --channels" if fitting is None else f"give {option} {fitting}"
    raise ValueError(f"{model} does not take images of {_shape(images.shape)} ({problem}); {advice}")


def _connection(site: Site) -> str:
    """What a connector does there, for terms that compare neuron by neuron."""
    words = [] if site.student_shape[1] == site.teacher_shape[1] else ["1x1 conv + BN"]
    if len(site.student_shape) == 2:
        words = ["linear"] if words else []
    if site.student.shape[2:] != site.teacher.shape[2:]:
        words.append(f"at {'x'.join(str(size) for size in site.teacher_shape[2:])}")
    return " ".join(words) or "none: equal widths"


def _shape(shape: Sequence[int]) -> str:
    """Without the batch: 64x8x8."""
    return "x".join(str(size) for size in shape[1:])


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False
    )
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in ("shape", "parameters") else "left")
    return table
