"""The report: one HTML file that needs nothing else, neither network nor script."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from understudy.spec import write_whole
from understudy.spec.run_files import DETECTIONS
from understudy.spec.sizes import ratio_in_words

from . import figures, quantities, seen
from .comparable import best_among, finished_students
from .headline import headline, outcome, tiles
from .palette import DARK, LIGHT, Look, looks
from .progress import progress_text, result, score_title
from .roles import epochs_text, labels, method_title, teachers_among
from .run_folder import Run
from .seeds import HEADINGS, best_over_seeds, over_seeds
from .table import columns, comparison
from .template import html_template

# Of so many runs the pictures of what was transferred are shown.
MOST_SEEN = 12


def write_page(runs: Sequence[Run], path: str | Path, title: str = "understudy report") -> Path:
    """Writes the comparison of the runs to `path` and returns it. The same runs give the same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = html_template("page.html.j2").render(title=title, **_content(runs))
    write_whole(path, text)
    return path


def _content(runs: Sequence[Run]) -> dict[str, Any]:
    rows = comparison(runs)
    shown = columns(rows)
    several = over_seeds(rows)
    best = best_among(rows) if len(finished_students(rows)) > 1 and not several else None
    names = dict(zip((run.folder for run in runs), labels(runs), strict=True))
    teachers = teachers_among(runs)
    drawn = [run for run in runs if run not in teachers] or list(runs)
    drawn_looks = looks(len(drawn))
    return {
        "palettes": {"light": LIGHT, "dark": DARK},
        "headline": headline(rows),
        "outcome": outcome(rows),
        "tiles": tiles(rows),
        "over_seeds": [one.cells for one in several],
        "seeds_headings": HEADINGS,
        "best_mean": best_mean.label if (best_mean := best_over_seeds(several)) and len(several) > 1 else None,
        "columns": shown,
        "best": best.label if best else None,
        "rows": [(row, [column.cell(row) for column in shown]) for row in rows],
        "legend": _legend([names[run.folder] for run in drawn], drawn_looks),
        "teacher_lines": sorted(figures.teacher_scores(drawn)),
        "score": Markup(figures.score_chart(drawn, drawn_looks)),
        "agreement": Markup(figures.agreement_chart(drawn, drawn_looks)),
        "variation": Markup(figures.variation_chart(drawn, drawn_looks)),
        "seen": _seen(_shown(drawn), names),
        "not_seen": len(drawn) - len(_shown(drawn)),
        "layers": _layers(drawn, names),
        "gradients": [row for run in drawn for row in _gradients(run, names[run.folder])],
        "selections": [row for run in drawn for row in _selections(run, names[run.folder])],
        "score_title": score_title(run.headline for run in drawn),
        "terms": {term: Markup(svg) for term, svg in figures.term_charts(drawn, drawn_looks).items()},
        "runs": [_run(index, run, names[run.folder], own_charts=run in teachers) for index, run in enumerate(runs)],
        "say": quantities,
    }


def _legend(names: Sequence[str], drawn_looks: Sequence[Look]) -> list[tuple[Markup, str]]:
    marks = [figures.legend_mark(look, f"mark{index}") for index, look in enumerate(drawn_looks)]
    return [(Markup(mark), name) for mark, name in zip(marks, names, strict=True)]


def _shown(runs: Sequence[Run]) -> list[Run]:
    """Of runs that differ in their seed alone the first, and not too many."""
    first: dict[object, Run] = {}
    for run in runs:
        first.setdefault(run.recipe or run.folder, run)
    return [*first.values()][:MOST_SEEN]


def _seen(runs: Sequence[Run], names: dict[Path, str]) -> list[dict[str, Any]]:
    """What networks make of the same images: sheets of pictures, and charts of how they arrange them."""
    groups = []
    for index, group in enumerate(seen.seers(runs, [names[run.folder] for run in runs])):
        marks, charts = seen.neighbours(group, f"neighbours{index}")
        groups.append(
            {
                "sheets": seen.sheets(group),
                "classes": [(Markup(mark), name) for mark, name in marks],
                "neighbours": [(Markup(svg), words) for svg, words in charts],
            }
        )
    return groups


def _layers(runs: Sequence[Run], names: dict[Path, str]) -> dict[str, Any]:
    """Agreement per layer and run: the runs that measured it, and a row of cells per layer."""
    found = {names[run.folder]: result(run).get("agreement") for run in runs}
    measured = {name: agreement for name, agreement in found.items() if agreement}
    layers = dict.fromkeys(layer for agreement in measured.values() for layer in agreement)
    cells = {
        layer: [quantities.fraction_as_percent(agreement.get(layer)) for agreement in measured.values()]
        for layer in layers
    }
    return {"runs": list(measured), "cells": cells}


def _gradients(run: Run, label: str) -> list[tuple[str, ...]]:
    """Run, phase, term, and how many times the labels' its gradient was at the phase's start."""
    first = {record["phase"]: record for record in reversed(run.gradients)}
    return [
        (label, phase["name"], term, quantities.NOT_MEASURED if ratio is None else ratio_in_words(ratio))
        for phase in run.phases
        if phase["name"] in first
        for term, ratio in first[phase["name"]]["relative"].items()
    ]


def _selections(run: Run, label: str) -> list[tuple[str, str, list[str]]]:
    """Run, term; images kept and left out, and of those mislabelled on purpose how many, precision, recall."""
    rows = []
    for found in run.selections:
        dropped = f"{found['images'] - found['kept']:,}"
        wrong = [quantities.NOT_MEASURED] * 3
        if "mislabelled" in found:
            caught = f"{found['mislabelled_dropped']:,} of {found['mislabelled']:,}"
            wrong = [caught, *(quantities.percent(found[key]) for key in ("precision_pct", "recall_pct"))]
        rows.append((label, found["term"], [f"{found['kept']:,}", dropped, *wrong]))
    return rows


def _run(index: int, run: Run, label: str, *, own_charts: bool) -> dict[str, Any]:
    """What the page tells of one run; a teacher's curves stand here, not among its students'."""
    charts = []
    if own_charts:
        look = looks(1)
        charts = [figures.score_chart([run], look, f"run{index}-score")]
        charts += figures.term_charts([run], look, f"run{index}-term").values()
    return {
        "label": label,
        "method": method_title(run),
        "epochs": epochs_text(run),
        "unfinished": progress_text(run),
        "folder": run.folder.resolve().name,
        "facts": run.facts,
        "result": result(run),
        "settings": run.settings,
        "charts": [Markup(svg) for svg in charts if svg],
        "picture": _picture(run.folder / DETECTIONS),
    }


def _picture(path: Path) -> str | None:
    """The file as an address that holds it whole; None where there is none."""
    if not path.is_file():
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
