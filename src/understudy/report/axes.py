"""Axes over epochs: how every chart looks, and where one phase ends and the next begins."""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .palette import LIGHT, Look
from .run_folder import Run

Point = tuple[float, float]

SIZE_INCHES = (4.4, 3.0)
# Leaves room between title and axes for the names of the phases.
TITLE = {"loc": "left", "pad": 18, "fontsize": 10, "color": LIGHT["ink"]}


def chart(title: str, height_inches: float = SIZE_INCHES[1]) -> tuple[Figure, Axes]:
    """An empty chart over epochs: title at the left, quiet axes, horizontal grid."""
    figure = Figure(figsize=(SIZE_INCHES[0], height_inches), layout="constrained")
    axes = figure.subplots()
    style(axes)
    axes.set_title(title, **TITLE)
    axes.set_xlabel("epochs", color=LIGHT["quiet"], fontsize=9)
    return figure, axes


def style(axes: Axes) -> None:
    """Quiet lines, words in ink, no box."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT["quiet"])
    axes.grid(axis="y", color=LIGHT["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=LIGHT["quiet"], labelsize=9, length=0)
    axes.tick_params(which="minor", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=(1, 2, 5, 10)))


def draw_line(axes: Axes, points: Sequence[Point], look: Look) -> None:
    """A line through the points with the run's markers, on every point where there are few."""
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        look.dash,
        color=look.colour,
        marker=look.marker,
        markevery=1 if len(points) <= 30 else len(points) // 12,
        markersize=5,
        linewidth=1.8,
    )


def draw_teacher(axes: Axes, score: float) -> None:
    axes.axhline(score, color=LIGHT["ink"], linewidth=1.2, linestyle=(0, (5, 3)))


def mark_phases(axes: Axes, runs: Sequence[Run]) -> None:
    """Shades all but the last phase of the runs that have several, and names the phases over their bounds."""
    axes.set_xlim(0, max(max(run.num_epochs, run.num_epochs_done) for run in runs) * 1.02)
    staged = dict.fromkeys(
        tuple((phase["name"], phase["epochs"]) for phase in run.phases) for run in runs if len(run.phases) > 1
    )
    bounds: dict[float, tuple[str, str]] = {}
    for phases in staged:
        bound = 0.0
        for (before, epochs), (after, _) in pairwise(phases):
            bound += epochs
            bounds.setdefault(bound, (before, after))
    if bounds:
        axes.axvspan(0, max(bounds), color=LIGHT["quiet"], alpha=0.10, linewidth=0)
    named_at: list[float] = []
    for bound, (before, after) in bounds.items():
        axes.axvline(bound, color=LIGHT["quiet"], linewidth=1.0, linestyle=":")
        # Names that would run into each other are left out; the table of phases has them all.
        if all(abs(bound - other) >= 0.25 * axes.get_xlim()[1] for other in named_at):
            _name_phases(axes, bound, before, after)
            named_at.append(bound)


def _name_phases(axes: Axes, bound: float, before: str, after: str) -> None:
    place = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points", "va": "bottom"}
    words = {"fontsize": 8, "color": LIGHT["quiet"], "annotation_clip": False}
    axes.annotate(f"{before} ", (bound, 1.0), xytext=(-2, 2), ha="right", **place, **words)
    axes.annotate(f" {after}", (bound, 1.0), xytext=(2, 2), ha="left", **place, **words)
