"""One picture of several runs, for a README: how the score grew, and where it ended."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from .axes import draw_line, draw_teacher, mark_phases, style
from .figures import teacher_scores
from .headline import headline, outcome
from .palette import LIGHT, Look, looks
from .progress import measured_scores, score_title
from .roles import labels, teachers_among
from .run_folder import Run
from .svg import words_as_they_are
from .table import Row, comparison, run_name

TEACHER = {"fontsize": 8.5, "color": LIGHT["ink"]}
FINAL = {"fontsize": 11, "weight": "bold", "color": LIGHT["ink"]}
SIZE_INCHES, DOTS_PER_INCH = (8.0, 4.5), 200


def picture(runs: Sequence[Run], path: str | Path) -> Path:
    """Writes a PNG of 1600 x 900 pixels to `path` and returns it: curves at the left, final bars right."""
    path = Path(path)
    rows = comparison(runs)
    teachers = teachers_among(runs)
    drawn = [run for run in runs if run not in teachers] or list(runs)
    names = [label for run, label in zip(runs, labels(runs), strict=True) if any(run is one for one in drawn)]
    look_of = dict(zip(names, looks(len(drawn)), strict=True))
    figure = Figure(figsize=SIZE_INCHES, facecolor=LIGHT["paper"])
    curves = figure.add_axes((0.065, 0.12, 0.49, 0.57))
    bars = figure.add_axes((0.71, 0.12, 0.215, 0.57))
    _curves(curves, drawn, list(look_of.values()))
    _bars(bars, rows, look_of)
    figure.text(0.03, 0.935, headline(rows), fontsize=15, weight="bold", color=LIGHT["ink"], va="center")
    figure.text(0.03, 0.885, fill(outcome(rows), 112), fontsize=8.5, color=LIGHT["quiet"], va="top")
    words_as_they_are(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return path


def _curves(axes: Axes, runs: Sequence[Run], run_looks: Sequence[Look]) -> None:
    style(axes)
    for run, look in zip(runs, run_looks, strict=True):
        curve = measured_scores(run)[1]
        if curve:
            draw_line(axes, curve, look)
    for score in sorted(teacher_scores(runs)):
        draw_teacher(axes, score)
        axes.annotate("teacher", (0, score), (5, -4), textcoords="offset points", va="top", **TEACHER)
    mark_phases(axes, runs)
    axes.set_title(score_title(run.headline for run in runs), loc="left", fontsize=10, color=LIGHT["quiet"], pad=22)
    axes.set_xlabel("epochs", color=LIGHT["quiet"], fontsize=9)


def _bars(axes: Axes, rows: Sequence[Row], look_of: dict[str, Look]) -> None:
    """A bar per row with its curve's colour and marker, so that no legend is needed; pale if unfinished."""
    style(axes)
    axes.grid(visible=False)
    inside = offset_copy(axes.transData, axes.get_figure(root=True), x=0.12, y=0.0, units="inches")
    measured = [row for row in rows if row.score is not None]
    for place, row in enumerate(measured):
        score = row.score or 0.0
        look = None if row.is_teacher else look_of[row.label]
        colour = look.colour if look else LIGHT["quiet"]
        axes.barh(place, score, 0.62, color=colour, alpha=0.35 if row.unfinished else 1.0)
        if look:
            axes.plot(0, place, look.marker, color=LIGHT["paper"], markersize=6, transform=inside)
        axes.text(score + 1.5, place, f"{score:.1f}", va="center_baseline", **FINAL)
    names = [fill(run_name(row), 14) for row in measured]
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", colors=LIGHT["ink"], labelsize=10 if len(names) <= 5 else 8.5)
    for words in axes.get_yticklabels():
        words.set_verticalalignment("center_baseline")
    axes.set_ylim(max(len(names), 3) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title("at the end", loc="left", fontsize=10, color=LIGHT["quiet"], pad=22)
