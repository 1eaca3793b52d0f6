"""The comparison as a file: Markdown and LaTeX as the terminal shows it, CSV with every number."""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from tabulate import tabulate

from understudy.spec import nearest, write_whole

from .seeds import HEADINGS, over_seeds
from .table import Row, columns

PAGES = (".html", ".htm")
STYLES = {".md": "github", ".tex": "latex_booktabs"}
ENDINGS = (*PAGES, *STYLES, ".csv")
# What a row is compared by, and no number of it.
INTERNAL = ("began_with", "tested_on", "recipe")


def check_ending(path: Path) -> Path:
    """ValueError for the name of a file that is none of ENDINGS."""
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(ENDINGS)}{nearest(path.suffix, ENDINGS)}")
    return path


def write_table(rows: Sequence[Row], path: Path) -> Path:
    """Write the rows to `path`, as its ending says, and answer it; in text with the means over seeds below them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    style = STYLES.get(path.suffix.lower())
    write_whole(path, _csv(rows) if style is None else _text(rows, style))
    return path


def _text(rows: Sequence[Row], style: str) -> str:
    shown = columns(rows)
    sides = ["right" if column.is_number else "left" for column in shown]
    lines = [[column.cell(row) for column in shown] for row in rows]
    drawn = [_drawn([column.heading for column in shown], lines, sides, style)]
    several = over_seeds(rows)
    if several:
        sides = ["left", *["right"] * (len(HEADINGS) - 1)]
        drawn.append(_drawn(HEADINGS, [one.cells for one in several], sides, style))
    return "\n\n".join(drawn) + "\n"


def _drawn(headings: Sequence[str], lines: Sequence[Sequence[str]], sides: Sequence[str], style: str) -> str:
    return tabulate(lines, headers=headings, tablefmt=style, disable_numparse=True, colalign=sides)


def _csv(rows: Sequence[Row]) -> str:
    """One line a run, numbers as they were measured; images/s as 'initialise=217.2 train=203.5'."""
    names = [one.name for one in fields(Row) if one.name not in INTERNAL]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = {name: getattr(row, name) for name in names}
        speeds = row.images_per_s or {}
        values["images_per_s"] = " ".join(
            f"{phase}={value:.1f}" for phase, value in speeds.items() if value is not None
        )
        writer.writerow(["" if value is None else value for value in values.values()])
    return text.getvalue()
