"""A picture of what is taken for what: a row for each class, a column for each answer."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from .palette import LIGHT
from .svg import SETTINGS, words_as_they_are

FORMATS = (".svg", ".png")
# Up to so many classes each cell has its number, and up to so many each row its name.
MOST_NUMBERS, MOST_NAMES = 20, 120
LONGEST_NAME = 24
# Nothing, a little, much: a share of one in a hundred is to be seen.
RIGHT = LinearSegmentedColormap.from_list("right", [LIGHT["paper"], LIGHT["series-0"]])
WRONG = LinearSegmentedColormap.from_list("wrong", [LIGHT["paper"], "#f6b48f", LIGHT["series-1"]])


def check_picture(path: Path) -> None:
    """ValueError for a file that no picture can be written to, before anything is measured."""
    if path.suffix not in FORMATS:
        raise ValueError(f"a picture is written as {' or '.join(FORMATS)}, found {path}")


def write_confusion(counts: Sequence[Sequence[int]], names: Sequence[str], path: Path, title: str) -> Path:
    """Writes the picture to `path` (.svg or .png) and returns it.

    `counts[i][j]` are the images of class i taken for class j; a row is drawn in per cent of its images. What is right
    lies on the diagonal in one colour, what is wrong beside it in another, whose scale ends at the largest error.
    """
    check_picture(path)
    amounts = np.asarray(counts, dtype=float)
    shares_pct = 100.0 * amounts / np.maximum(amounts.sum(axis=1, keepdims=True), 1.0)
    num_classes = len(names)
    side_inches = min(4.5 + 0.16 * num_classes, 17.0) if num_classes > MOST_NUMBERS else 2.6 + 0.38 * num_classes
    figure = Figure(figsize=(side_inches + 1.2, side_inches), facecolor=LIGHT["paper"], layout="constrained")
    axes = figure.subplots()
    _cells(figure, axes, shares_pct)
    _names(axes, names)
    axes.set_title(title, loc="left", fontsize=11, color=LIGHT["ink"], pad=10)
    axes.set_xlabel("taken for", color=LIGHT["quiet"])
    axes.set_ylabel("class", color=LIGHT["quiet"])
    words_as_they_are(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with matplotlib.rc_context(SETTINGS):
        figure.savefig(path, dpi=150, metadata=metadata, bbox_inches="tight", pad_inches=0.15)
    return path


def _cells(figure: Figure, axes: Axes, shares_pct: np.ndarray) -> None:
    """Two layers of colour; numbers where there is room for them, else a scale for each layer."""
    is_right = np.eye(len(shares_pct), dtype=bool)
    wrong = np.ma.masked_where(is_right, shares_pct)
    largest_pct = max(float(shares_pct[~is_right].max(initial=0.0)), 1.0)
    layers = (
        (np.ma.masked_where(~is_right, shares_pct), RIGHT, 100.0, "right, %"),
        (wrong, WRONG, largest_pct, "wrong, %"),
    )
    for values, colours, top_pct, words in layers:
        drawn = axes.imshow(values, cmap=colours, vmin=0.0, vmax=top_pct, interpolation="nearest")
        if len(shares_pct) > MOST_NUMBERS:
            bar = figure.colorbar(drawn, ax=axes, shrink=0.4, pad=0.01, aspect=30)
            bar.set_label(words, color=LIGHT["quiet"])
            bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    if len(shares_pct) <= MOST_NUMBERS:
        _numbers(axes, shares_pct, largest_pct)


def _numbers(axes: Axes, shares_pct: np.ndarray, largest_pct: float) -> None:
    for (row, column), share_pct in np.ndenumerate(shares_pct):
        if share_pct == 0.0:
            continue
        is_dark = share_pct > 0.6 * (100.0 if row == column else largest_pct)
        words = f"{share_pct:.0f}" if share_pct >= 9.95 else f"{share_pct:.1f}"
        colour = LIGHT["paper"] if is_dark else LIGHT["ink"]
        axes.text(column, row, words, ha="center", va="center", fontsize=8, color=colour)


def _names(axes: Axes, names: Sequence[str]) -> None:
    """Every name where they fit; else every so many classes its number."""
    axes.spines[:].set_color(LIGHT["grid"])
    axes.tick_params(colors=LIGHT["ink"], length=0, labelsize=9 if len(names) <= MOST_NUMBERS else 7)
    if len(names) > MOST_NAMES:
        return
    short = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in names]
    axes.set_xticks(range(len(names)), short, rotation=90 if max(map(len, short)) > 2 else 0)
    axes.set_yticks(range(len(names)), short)
