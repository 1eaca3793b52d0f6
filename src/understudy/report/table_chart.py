"""The picture of a table: published numbers as hollow marks, measured ones as filled marks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import AutoLocator

from .axes import style
from .palette import LIGHT, Look, looks

WIDTH_INCHES, MOST_WORDS_ACROSS = 8.0, 60
WORDS = {"fontsize": 8.5, "color": LIGHT["ink"]}


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a chart shows at one place of a table: numbers in the table's unit, None where there is none."""

    published: float | None
    measured: float | None
    deviation: float | None = None


# Label -> its places, one for each column; None where the table has no such row.
Lines = Mapping[str, Sequence[Place | None]]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A part of a table, with what it is called beside others."""

    title: str
    columns: Sequence[str]
    lines: Lines


def table_chart(panels: Sequence[Panel], unit: str, *, connected: bool) -> Figure:
    """One column: a mark for each label, under each other. Several: over the columns, `connected` where they rise.

    Several panels stand side by side, at one height.
    """
    if len(panels) == 1 and len(panels[0].columns) == 1:
        return _list(panels[0], unit)
    return _curves(panels, unit, connected)


def _list(panel: Panel, unit: str) -> Figure:
    lines = panel.lines
    figure = Figure(figsize=(WIDTH_INCHES, 1.2 + 0.24 * len(lines)), facecolor=LIGHT["paper"], layout="constrained")
    axes = figure.subplots()
    style(axes)
    axes.grid(visible=False, axis="x")
    [look] = looks(1)
    for height, places in enumerate(lines.values()):
        place = places[0]
        if place is None:
            continue
        if place.measured is not None and place.published is not None:
            axes.plot((place.published, place.measured), (height, height), color=LIGHT["quiet"], linewidth=1.2)
        _mark(axes, height, place, look, is_list=True)
    axes.set_yticks(range(len(lines)), list(lines), color=LIGHT["ink"])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.xaxis.set_major_locator(AutoLocator())
    axes.set_xlabel(f"{unit}; {panel.title}" if panel.title else unit, **WORDS)
    if key := _key(look, [panel]):
        axes.legend(
            handles=key,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=2,
            frameon=False,
            fontsize=8.5,
            labelcolor=LIGHT["ink"],
        )
    return figure


def _curves(panels: Sequence[Panel], unit: str, connected: bool) -> Figure:
    figure = Figure(figsize=(WIDTH_INCHES, 4.4), facecolor=LIGHT["paper"], layout="constrained")
    labels = list(dict.fromkeys(label for panel in panels for label in panel.lines))
    line_looks = dict(zip(labels, looks(len(labels)), strict=True))
    widths = [len(panel.columns) for panel in panels]
    # squeeze=False: a row of one is a row, too.
    [row] = figure.subplots(1, len(panels), sharey=True, squeeze=False, width_ratios=widths)
    for axes, panel in zip(row, panels, strict=True):
        _draw(axes, panel, line_looks, connected, turned=_is_long(panels))
        if panel.title or len(panels) > 1:
            axes.set_title(panel.title or "as in the paper", **WORDS)
    row[0].set_ylabel(unit, **WORDS)
    names = [_line(look, label) for label, look in line_looks.items()]
    row[-1].legend(
        handles=[*names, *_key(Look(colour=LIGHT["ink"], marker="o", dash="-"), panels)],
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        labelcolor=LIGHT["ink"],
        fontsize=8,
    )
    return figure


def _is_long(panels: Sequence[Panel]) -> bool:
    """Whether the columns' names would run into each other."""
    return sum(len(column) for panel in panels for column in panel.columns) > MOST_WORDS_ACROSS


def _draw(axes: Axes, panel: Panel, line_looks: Mapping[str, Look], connected: bool, *, turned: bool) -> None:
    style(axes)
    besides = _besides(len(panel.lines), connected)
    for (label, places), beside in zip(panel.lines.items(), besides, strict=True):
        look = line_looks[label]
        shown = [(at + beside, place) for at, place in enumerate(places) if place is not None]
        if connected:
            _connect(axes, [(at, place.published) for at, place in shown], look, faint=True)
            _connect(axes, [(at, place.measured) for at, place in shown], look, faint=False)
        for at, place in shown:
            _mark(axes, at, place, look, is_list=False)
    columns = panel.columns
    axes.set_xticks(
        range(len(columns)), list(columns), rotation=40 if turned else 0, ha="right" if turned else "center"
    )
    axes.margins(x=0.04)


def _besides(num_lines: int, connected: bool) -> list[float]:
    """How far beside its column each line's marks stand: marks that no line connects would hide each other."""
    apart = 0.0 if connected else min(0.12, 0.7 / num_lines)
    return [(index - (num_lines - 1) / 2) * apart for index in range(num_lines)]


def _connect(axes: Axes, points: Sequence[tuple[float, float | None]], look: Look, *, faint: bool) -> None:
    there = [(x, y) for x, y in points if y is not None]
    if there:
        x, y = zip(*there, strict=True)
        dash, alpha, width = (":", 0.75, 1.0) if faint else ("-", 1.0, 1.8)
        axes.plot(x, y, linestyle=dash, color=look.colour, alpha=alpha, linewidth=width)


def _mark(axes: Axes, at: float, place: Place, look: Look, *, is_list: bool) -> None:
    for value, fill in ((place.published, LIGHT["paper"]), (place.measured, look.colour)):
        if value is not None:
            x, y = (value, at) if is_list else (at, value)
            axes.plot(x, y, look.marker, markersize=5.5, color=look.colour, markerfacecolor=fill, linestyle="none")
    if place.measured is not None and place.deviation is not None:
        if is_list:
            axes.errorbar(place.measured, at, xerr=place.deviation, color=look.colour, linewidth=1.2, capsize=2)
        else:
            axes.errorbar(at, place.measured, yerr=place.deviation, color=look.colour, linewidth=1.2, capsize=2)


def _line(look: Look, label: str) -> Line2D:
    return Line2D([], [], color=look.colour, marker=look.marker, markersize=5, linestyle="none", label=label)


def _key(look: Look, panels: Sequence[Panel]) -> list[Line2D]:
    """What hollow and filled marks mean, where any are hollow."""
    mark = {"color": look.colour, "marker": look.marker, "markersize": 5.5, "linestyle": "none"}
    places = [place for panel in panels for line in panel.lines.values() for place in line if place is not None]
    hollow = [Line2D([], [], **mark, markerfacecolor=LIGHT["paper"], label="published")]
    filled = [Line2D([], [], **mark, label="measured")]
    is_published = any(place.published is not None for place in places)
    is_measured = any(place.measured is not None for place in places)
    return hollow + filled * is_measured if is_published else []
