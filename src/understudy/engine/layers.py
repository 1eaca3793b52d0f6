"""The positions of a network as a table, and the pairs that would be compared."""

import torch
from rich.table import Table

from understudy.comparisons import Site, site_of
from understudy.models import build
from understudy.taps import named_positions, pairs, positions


def show_layers(model: str, shape: tuple[int, int, int], num_classes: int) -> Table:
    """Every position of the network, in the order in which it is computed for an image of `shape` (C, H, W)."""
    network = build(model, num_classes=num_classes, in_channels=shape[0])
    images = torch.zeros(2, *shape)
    roles: dict[str, list[str]] = {}
    for role in ("before_relu", "after_relu", "group_end", "embedding"):
        try:
            found = named_positions(network, role, images)
        except ValueError:
            continue  # a network need not have every role; the table then shows none
        for name in found:
            roles.setdefault(name, []).append(role)
    table = _table(f"{model}: positions", "position", "kind", "shape", "parameters", "activation", "role")
    for place in positions(network, images):
        table.add_row(
            place.name,
            place.kind,
            _shape(place.shape),
            f"{place.parameters:,}" if place.parameters else "",
            place.activation,
            ", ".join(roles.get(place.name, [])),
        )
    return table


def show_pairs(teacher: str, student: str, role: str, shape: tuple[int, int, int], num_classes: int) -> Table:
    """The pairs of positions that play `role`, and what connects them."""
    images = torch.zeros(2, *shape)
    networks = [build(name, num_classes=num_classes, in_channels=shape[0]) for name in (student, teacher)]
    table = _table(
        f"{role}: {student} learns from {teacher}", "student", "shape", "teacher", "shape", "activation", "connector"
    )
    for own, wanted in pairs(networks[0], networks[1], role, images):
        site = site_of(own, wanted, images)
        table.add_row(
            own.name,
            _shape(own.shape),
            wanted.name,
            _shape(wanted.shape),
            own.activation,
            _connection(site),
        )
    return table


def _connection(site: Site) -> str:
    """What an adapter does there, for terms that compare neuron by neuron."""
    words = [] if site.student_shape[1] == site.teacher_shape[1] else ["1x1 conv + BN"]
    if len(site.student_shape) == 2:
        words = ["linear"] if words else []
    if site.student.shape[2:] != site.teacher.shape[2:]:
        words.append(f"compared at {'x'.join(str(size) for size in site.teacher_shape[2:])}")
    return ", ".join(words) or "none: equal widths"


def _shape(shape: tuple[int, ...]) -> str:
    """Without the batch: 64x8x8."""
    return "x".join(str(size) for size in shape[1:])


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False
    )
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in ("shape", "parameters") else "left")
    return table
