"""What `understudy list tables` shows in a terminal: all tables, or the rows of one."""

from pathlib import Path

from rich.console import Console
from rich.table import Table as Shown

from understudy.experiments import TABLES, Row, Table
from understudy.experiments.cells import is_of, read_cells
from understudy.experiments.cost import hours, run_seconds
from understudy.experiments.grid import metric_name
from understudy.spec import nearest

ESTIMATE = (
    "Hours: of every row's run once, for one seed, without the training of teachers and of what students begin with; "
    "products of the networks at the rate of two processor cores with AMX. An estimate, not a measurement."
)


def find_table(name: str) -> Table:
    """The table of this name. Raises ValueError with the nearest one."""
    if name not in TABLES:
        raise ValueError(f"there is no table {name!r}{nearest(name, TABLES)}; there are {', '.join(TABLES)}")
    return TABLES[name]


def show_tables(console: Console, results: Path) -> None:
    """A line for each table: its rows, how many of them are measured in `results`, and hours."""
    shown = Shown(box=None, pad_edge=False, header_style="bold")
    shown.add_column("table", no_wrap=True)
    for column in ("rows", "measured", "hours"):
        shown.add_column(column, justify="right")
    shown.add_column("")
    for name, table in TABLES.items():
        cells = read_cells(results / f"{name}.json")
        measured = sum(any(is_of(cell, row) for cell in cells) for row in table.rows.values())
        missing = sum(row.missing is not None for row in table.rows.values())
        said = "-" if missing == len(table.rows) else _hours(hours(table), places=1)
        lacking = f" ({missing} rows cannot be run yet)" if missing else ""
        shown.add_row(name, f"{len(table.rows)}", f"{measured}", said, f"{table.title}{lacking}")
    console.print(shown, highlight=False)
    console.print(ESTIMATE, highlight=False)


def show_rows(console: Console, table: Table, results: Path) -> None:
    """A line for each row: published, measured, teacher, what it begins with, and hours or what is missing."""
    cells = read_cells(results / f"{table.name}.json")
    shown = Shown(box=None, pad_edge=False, header_style="bold")
    shown.add_column("row", no_wrap=True)
    shown.add_column("metric")
    for column in ("published", "measured"):
        shown.add_column(column, justify="right")
    shown.add_column("teacher")
    has_starts = any(row.start is not None for row in table.rows.values())
    if has_starts:
        shown.add_column("begins with")
    shown.add_column("hours", justify="right")
    for name, row in table.rows.items():
        values = [f"{cell['value']:.2f}" for cell in cells if is_of(cell, row)]
        shown.add_row(
            name,
            metric_name(row.metric),
            "" if row.published is None else row.published_in_words,
            " ".join(values) or "not run",
            row.teacher or "",
            *([row.start or ""] if has_starts else []),
            "cannot be run yet" if row.missing else _hours(_run_hours(row), places=2),
        )
    console.print(f"{table.title}\n{table.citation}\n{table.notes}".strip(), highlight=False)
    console.print(shown, highlight=False)
    for what in dict.fromkeys(row.missing for row in table.rows.values() if row.missing):
        console.print(f"Cannot be run yet, because this is missing: {what}.", highlight=False)
    console.print(ESTIMATE, highlight=False)


def _run_hours(row: Row) -> float | None:
    seconds = run_seconds(row.settings)
    return None if seconds is None else seconds / 3600


def _hours(hours: float | None, places: int) -> str:
    """A question mark where the cost of some network is not known."""
    return "?" if hours is None else f"{hours:,.{places}f}"
