"""A table in Markdown, LaTeX and CSV: measured beside published, what was not run as not run."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

from tabulate import tabulate

from understudy.experiments.cells import Cell, is_of
from understudy.experiments.grid import Entry, Grid, grid_of, parts_of, teacher_errors
from understudy.experiments.row import Table


def markdown(grid: Grid) -> str:
    """'**16.80** +- 0.20, n=2 (16.39)' at each place."""
    return _drawn(grid, "github", "**{}**")


def latex(grid: Grid) -> str:
    """The same for the booktabs package."""
    return _drawn(grid, "latex_booktabs", "{}")


def _drawn(grid: Grid, style: str, strong: str) -> str:
    lines = [[label, *(words(entry, strong) for entry in line)] for label, line in grid.lines.items()]
    return tabulate(lines, headers=["", *grid.columns], tablefmt=style, disable_numparse=True)


def words(entry: Entry | None, strong: str = "{}") -> str:
    """What stands at a place: mean, deviation and number of seeds, and in brackets the published number, if any."""
    if entry is None:
        return ""
    published = "" if entry.published is None else f" ({entry.published:.2f})"
    if entry.mean is None:
        return f"{'cannot be run yet' if entry.missing else 'not run'}{published}"
    spread = f" +- {entry.deviation:.2f}, n={len(entry.measured)}" if entry.deviation is not None else ""
    return f"{strong.format(f'{entry.mean:.2f}')}{spread}{published}"


def csv_lines(table: Table, cells: Sequence[Cell]) -> str:
    """One line for each row and teacher: its keys, the published number, what was measured with which seeds, and the
    teacher's own error."""
    keys = list(dict.fromkeys(name for row in table.rows.values() for name in row.keys))
    results = (
        "metric",
        "published",
        "published_budget",
        "mean",
        "deviation",
        "n",
        "seeds",
        "teacher_error_percent",
        "teacher_sha256",
    )
    text = io.StringIO()
    writer = csv.DictWriter(text, ["row", *keys, *results, "missing"], lineterminator="\n")
    writer.writeheader()
    for part in parts_of(table, cells):
        for name, row in part.table.rows.items():
            [entry] = grid_of(replace(table, rows={name: row}), part.cells).entries
            seeds = sorted({cell["seed"] for cell in part.cells if is_of(cell, row)})
            writer.writerow(
                {
                    "row": name,
                    **row.keys,
                    "metric": row.metric,
                    "published": row.published,
                    "published_budget": row.published_budget,
                    "mean": None if entry.mean is None else f"{entry.mean:.2f}",
                    "deviation": None if entry.deviation is None else f"{entry.deviation:.2f}",
                    "n": len(entry.measured),
                    "seeds": " ".join(map(str, seeds)),
                    "teacher_error_percent": " ".join(f"{error:.2f}" for error in teacher_errors(part.cells)),
                    "teacher_sha256": part.teacher,
                    "missing": row.missing,
                }
            )
    return text.getvalue()
