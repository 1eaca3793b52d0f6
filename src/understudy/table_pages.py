"""Tables as documents: a page and a picture of each, from the rows and the measured numbers. Needs no torch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from understudy.experiments import TABLES, Row, Table
from understudy.experiments.cells import Cell, read_cells
from understudy.experiments.formats import csv_lines, latex
from understudy.experiments.grid import Entry, Grid, Part, grid_of, metric_name, most_measured, parts_of
from understudy.experiments.page import heading, legend_of, table_page
from understudy.report.table_chart import Panel, Place, table_chart
from understudy.report.table_page import save_svg, table_html
from understudy.spec import check_folder, write_whole

FORMATS = ("markdown", "latex", "csv", "html")
# Key columns whose values rise from left to right, so that a line between them means something.
RISING = {"epochs_init", "epochs_train", "percent_data", "samples_per_class", "margin"}


def table_text(table: Table, form: str, results: Path) -> str:
    """The table in one of FORMATS, with what is measured of it in the folder `results`."""
    cells = read_cells(results / f"{table.name}.json")
    if form == "markdown":
        return table_page(table, cells, f"{table.name}.svg")
    if form == "csv":
        return csv_lines(table, cells)
    if form == "latex":
        parts = (
            f"% {_heading(part)}\n% {legend_of(part.table)}\n{latex(part.grid)}" for part in parts_of(table, cells)
        )
        return "\n\n".join(parts) + "\n"
    if form == "html":
        return _html(table, cells)
    raise ValueError(f"found format {form!r}, expected {', '.join(FORMATS)}")


def write_pages(folder: Path, results: Path) -> list[Path]:
    """NAME.md and NAME.svg of every table; their paths. ValueError for a folder that cannot be written to."""
    check_folder(folder).mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in TABLES.items():
        page, picture = folder / f"{name}.md", folder / f"{name}.svg"
        write_whole(page, table_text(table, "markdown", results))
        save_svg(table_picture(table, most_measured(table, read_cells(results / f"{name}.json"))), picture)
        written += [page, picture]
    return written


def table_picture(table: Table, cells: Sequence[Cell]) -> Figure:
    """Published and measured numbers, with the cells of one of each kind of teacher."""
    grids = {reading: grid_of(part, cells) for reading, part in _readings(table).items()}
    measured = {reading: grid for reading, grid in grids.items() if any(entry.measured for entry in grid.entries)}
    shown = measured or dict(list(grids.items())[:1])
    metrics = dict.fromkeys(metric_name(row.metric) for row in table.rows.values())
    unit = f"{next(iter(metrics))}, %" if len(metrics) == 1 else "%"
    panels = [_panel(table, reading, grid) for reading, grid in shown.items()]
    return table_chart(panels, unit, connected=set(table.across) <= RISING)


def _readings(table: Table) -> dict[str, Table]:
    """A table of the rows of each reading, labelled without it."""
    found: dict[str, dict[str, Row]] = {}
    for name, row in table.rows.items():
        found.setdefault(row.reading, {})[name] = replace(row, reading="")
    return {reading: replace(table, rows=rows) for reading, rows in found.items()}


def _panel(table: Table, reading: str, grid: Grid) -> Panel:
    """Under the reading's name, and the budget of the published numbers where that is another."""
    budgets = {row.published_budget for row in table.rows.values() if row.reading == reading and row.published_budget}
    title = ", ".join([*([reading] if reading else []), *(f"published at {budget}" for budget in sorted(budgets))])
    lines = {label: [None if entry is None else _place(entry) for entry in line] for label, line in grid.lines.items()}
    return Panel(title=title, columns=grid.columns, lines=lines)


def _place(entry: Entry) -> Place:
    return Place(published=entry.published, measured=entry.mean, deviation=entry.deviation)


def _html(table: Table, cells: Sequence[Cell]) -> str:
    parts = parts_of(table, cells)
    missing = dict.fromkeys(row.missing for row in table.rows.values() if row.missing)
    notes = [
        table.notes,
        legend_of(table),
        *(f"Cannot be run yet, because this is missing: {what}." for what in missing),
    ]
    return table_html(
        title=table.title,
        citation=table.citation,
        notes=[note for note in notes if note],
        pictures=[table_picture(part.table, part.cells) for part in parts],
        headings=[_heading(part) if cells else "Not measured yet" for part in parts],
        columns=[part.grid.columns for part in parts],
        tables=[_words(part.grid) for part in parts],
    )


def _heading(part: Part) -> str:
    return heading(part).removeprefix("## ")


def _words(grid: Grid) -> dict[str, list[tuple[str, str, bool]]]:
    return {label: [_pair(entry) for entry in line] for label, line in grid.lines.items()}


def _pair(entry: Entry | None) -> tuple[str, str, bool]:
    """What was measured and what was published, in words, and whether anything was measured."""
    if entry is None:
        return "", "", False
    published = "" if entry.published is None else f"{entry.published:.2f}"
    if entry.mean is None:
        return "cannot be run yet" if entry.missing else "not run", published, False
    spread = "" if entry.deviation is None else f" ± {entry.deviation:.2f} (n={len(entry.measured)})"
    return f"{entry.mean:.2f}{spread}", published, True
