"""The log-log plots of the benchmarks, as SVG files that stand alone."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from understudy.report.palette import LIGHT, looks

# Text stays text, and the same numbers give the same bytes.
SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "understudy", "font.family": "sans-serif"}
AXES = ("batch", "channels", "positions")


def draw_epochs(found: dict[str, Any], path: Path) -> None:
    """Time per image and the process's largest memory, by the number of images."""
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    time, memory = figure.subplots(1, 2)
    look = looks(1)[0]
    for axes, values, what in (
        (time, found["us_per_image"], "microseconds per image"),
        (memory, found["memory_mib"], "largest memory of the process, MiB"),
    ):
        _with_range(axes, found["images"], values, colour=look.colour, marker=look.marker, dash="-", label="")
        _log_log(axes, "training images", what, found["images"], steps=True)
        # Room around a line that should be level, or nearly.
        axes.set_ylim(min(one["min"] for one in values) / 2, max(one["max"] for one in values) * 2)
    _save(figure, path)


def draw_losses(found: dict[str, Any], path: Path) -> None:
    """Milliseconds of every loss along each size."""
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    panels = figure.subplots(1, len(AXES), sharey=True)
    for axis, axes in zip(AXES, panels, strict=True):
        for (name, one), look in zip(found.items(), looks(len(found)), strict=True):
            if axis in one["along"]:
                along = one["along"][axis]
                _with_range(
                    axes,
                    along["sizes"],
                    along["ms"],
                    colour=look.colour,
                    marker=look.marker,
                    dash=look.dash,
                    label=name,
                )
        sizes = sorted({size for one in found.values() for size in one["along"].get(axis, {"sizes": ()})["sizes"]})
        _log_log(axes, axis, "milliseconds, forward and backward" if axis == AXES[0] else "", sizes)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    _save(figure, path)


def _with_range(
    axes: Axes, sizes: list[int], values: list[dict[str, float]], *, colour: str, marker: str, dash: str, label: str
) -> None:
    """Medians as a line, and from the smallest to the largest value a bar."""
    middle = [one["median"] for one in values]
    below = [one["median"] - one["min"] for one in values]
    above = [one["max"] - one["median"] for one in values]
    axes.errorbar(
        sizes,
        middle,
        yerr=(below, above),
        color=colour,
        marker=marker,
        linestyle=dash,
        markersize=4,
        linewidth=1.4,
        elinewidth=0.8,
        label=label,
    )


def _log_log(axes: Axes, across: str, up: str, sizes: list[int], *, steps: bool = False) -> None:
    """Logarithmic axes with the sizes as ticks; with `steps` 1, 2 and 5 of each decade upwards, where few are seen."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if steps else (1.0,)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.minorticks_off()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color=LIGHT["grid"], linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    with matplotlib.rc_context(SETTINGS):
        figure.savefig(path, format="svg", facecolor=LIGHT["paper"], metadata={"Date": None})
