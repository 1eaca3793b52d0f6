"""The charts of the page, each as an SVG string: the score, every term, agreement and change layer by layer."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .axes import SIZE_INCHES, TITLE, Point, chart, draw_line, draw_teacher, mark_phases
from .palette import LIGHT, Look
from .progress import measured_scores, result, score_title, teacher_score
from .run_folder import Run
from .svg import inline_svg

MOST_POINTS = 300
LOG_FROM_DECADES = 1.5
MOST_INCHES, MOST_LAYER_NAMES = 10.0, 40


def score_chart(runs: Sequence[Run], looks: Sequence[Look], name: str = "score") -> str:
    """The score after each epoch, one line per run; teachers as dashed lines. Empty if none was measured."""
    what = score_title(run.headline for run in runs)
    figure, axes = chart(what)
    splits = set()
    for run, look in zip(runs, looks, strict=True):
        split, curve = measured_scores(run)
        if curve:
            splits.add(split)
            draw_line(axes, curve, look)
    if not splits:
        return ""
    for score in sorted(teacher_scores(runs)):
        draw_teacher(axes, score)
    if len(splits) == 1:
        axes.set_title(f"{what} on the {splits.pop()} images", **TITLE)
    mark_phases(axes, runs)
    return inline_svg(figure, name=name, description=f"{what} against epochs")


def teacher_scores(runs: Sequence[Run]) -> set[float]:
    """What the runs' teachers reach on the test images; none beside curves on others."""
    if any(measured_scores(run)[0] not in (None, "test") for run in runs):
        return set()
    return {score for run in runs if (score := teacher_score(run)) is not None}


def term_charts(runs: Sequence[Run], looks: Sequence[Look], name: str = "term") -> dict[str, str]:
    """One chart per term, by its name: logged steps faint, each epoch's mean in the middle of the epoch."""
    terms = dict.fromkeys(term for run in runs for record in (*run.epochs, *run.steps) for term in record["terms"])
    ordered = sorted(terms, key=lambda term: term != "loss")
    return {term: _term_chart(term, runs, looks, f"{name}{index}") for index, term in enumerate(ordered)}


def _term_chart(term: str, runs: Sequence[Run], looks: Sequence[Look], name: str) -> str:
    figure, axes = chart(term)
    seen: list[float] = []
    for run, look in zip(runs, looks, strict=True):
        for phase in run.phases:
            steps, means = _steps(run, phase["name"], term), _means(run, phase["name"], term)
            if steps:
                _draw_faint(axes, thinned(steps), look)
            if means:
                draw_line(axes, means, look)
            seen += [value for _, value in (*steps, *means)]
    if decades(seen) > LOG_FROM_DECADES:
        axes.set_yscale("log")
        _mark_decades(axes.yaxis, seen)
    mark_phases(axes, runs)
    return inline_svg(figure, name=name, description=f"{term} against epochs")


def _mark_decades(axis: Axis, seen: Sequence[float]) -> None:
    """Plain numbers along a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades(seen) < 3 else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _steps(run: Run, phase: str, term: str) -> list[Point]:
    """What was logged in a phase: each value is a mean since the one before, so it stands midway between the two."""
    starts = [0, *(record["step"] for record in run.steps)]
    return [
        ((start + record["step"]) / 2 / run.steps_per_epoch, record["terms"][term])
        for start, record in zip(starts, run.steps, strict=False)
        if record["phase"] == phase and term in record["terms"]
    ]


def _means(run: Run, phase: str, term: str) -> list[Point]:
    """The mean of each epoch of a phase, in the middle of the epoch."""
    found = [record for record in run.epochs if record["phase"] == phase and term in record["terms"]]
    return [(record["epoch"] - 0.5, record["terms"][term]) for record in found]


def _draw_faint(axes: Axes, points: Sequence[Point], look: Look) -> None:
    x, y = [x for x, _ in points], [y for _, y in points]
    axes.plot(x, y, look.dash, color=look.colour, linewidth=0.9, alpha=0.45)


def agreement_chart(runs: Sequence[Run], looks: Sequence[Look]) -> str:
    """How many activations have the teacher's sign, per layer, a dot per run. Empty if none was measured."""
    agreements = [result(run).get("agreement") for run in runs]
    found = [(agreement, look) for agreement, look in zip(agreements, looks, strict=True) if agreement]
    if not found:
        return ""
    figure, axes = _layers_chart("activations with the teacher's sign, %", found, dash="")
    axes.margins(x=0.1)
    axes.set_xlim(right=min(100.0, axes.get_xlim()[1]))
    return inline_svg(figure, name="agreement", description="Agreement with the teacher per layer")


def variation_chart(runs: Sequence[Run], looks: Sequence[Look]) -> str:
    """How far each block's weights have come, relative to themselves, a line per run. Empty if none has moved."""
    found = [(relative, look) for run, look in zip(runs, looks, strict=True) if (relative := _relative(run))]
    if not found:
        return ""
    figure, axes = _layers_chart("change of the weights, % of their length", found, dash="-")
    seen = [value for relative, _ in found for value in relative.values()]
    if decades(seen) > LOG_FROM_DECADES:
        axes.set_xscale("log")
        _mark_decades(axes.xaxis, seen)
    else:
        axes.set_xlim(left=0.0)
    axes.grid(axis="x", color=LIGHT["grid"], linewidth=0.7)
    return inline_svg(figure, name="variation", description="Change of the weights per block")


def _relative(run: Run) -> dict[str, float]:
    """Block -> ||w - w0|| / ||w0|| when it was last measured; without those that are frozen or began as zeros."""
    last = run.weights[-1]["blocks"] if run.weights else {}
    return {block: one["relative"] for block, one in last.items() if one["relative"]}


def _layers_chart(title: str, found: Sequence[tuple[dict[str, float], Look]], dash: str) -> tuple[Figure, Axes]:
    """Fractions per layer as per cent, layers downward in their order, a mark per run; joined where `dash` says so."""
    # The deepest network says the order: others may be the same, cut after a block.
    deepest_first = sorted((values for values, _ in found), key=len, reverse=True)
    layers = list(dict.fromkeys(layer for values in deepest_first for layer in values))
    figure, axes = chart(title, min(max(SIZE_INCHES[1], 1.0 + 0.3 * len(layers)), MOST_INCHES))
    for index, (values, look) in enumerate(found):
        # Marks of one layer stand a little apart, so that equal ones do not hide each other.
        places = [layers.index(layer) + 0.4 * ((index + 0.5) / len(found) - 0.5) for layer in values]
        shares_pct = [100.0 * fraction for fraction in values.values()]
        if dash:
            axes.plot(shares_pct, places, look.dash, color=look.colour, linewidth=1.0, alpha=0.45)
        axes.plot(shares_pct, places, look.marker, color=look.colour, markersize=7, alpha=0.9, clip_on=False)
    every = -(-len(layers) // MOST_LAYER_NAMES)
    axes.set_yticks(range(0, len(layers), every), layers[::every])
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlabel("")
    return figure, axes


def legend_mark(look: Look, name: str) -> str:
    """A short line with the run's marker, for the legend."""
    figure = Figure(figsize=(0.42, 0.2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.plot((0.08, 0.92), (0, 0), look.dash, color=look.colour, linewidth=1.8)
    axes.plot((0.5,), (0,), look.marker, color=look.colour, markersize=5)
    return inline_svg(figure, name=name, description="")


def thinned(points: list[Point]) -> list[Point]:
    """At most MOST_POINTS of the points, evenly, with the first and the last."""
    if len(points) <= MOST_POINTS:
        return points
    stride = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(index * stride)] for index in range(MOST_POINTS)]


def decades(values: Sequence[float]) -> float:
    """How many powers of ten lie between the smallest and the largest; none where one is not positive."""
    finite = [value for value in values if math.isfinite(value)]
    return math.log10(max(finite) / min(finite)) if finite and min(finite) > 0 else 0.0
