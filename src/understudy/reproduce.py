"""Published numbers measured here: the runs of a table one after the other, and its page."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from understudy.engine.display import Display
from understudy.engine.run import execute
from understudy.experiments import TABLES, Row
from understudy.experiments.cells import cell_of, keep_cell
from understudy.experiments.page import write_page
from understudy.spec import read_settings


def choose_rows(table: str, wanted: Sequence[str]) -> dict[str, Row]:
    """The rows whose name, or a part of it between slashes, is wanted, in the order asked; all where none is.

    ValueError for a misfit.
    """
    if table not in TABLES:
        raise ValueError(f"there is no table {table!r}; there are {', '.join(TABLES)}")
    rows = dict(TABLES[table].rows)
    unknown = [name for name in wanted if not any(_fits(row, [name]) for row in rows)]
    if unknown:
        raise ValueError(f"{table} has no row {', '.join(unknown)}; it has {', '.join(rows)}")
    return {name: rows[name] for part in wanted for name in rows if _fits(name, [part])} if wanted else rows


def _fits(name: str, wanted: Sequence[str]) -> bool:
    return any(part == name or part in name.split("/") for part in wanted)


def reproduce(
    table: str, rows: dict[str, Row], teacher_weights: Path, *, seed: int, runs: Path, results: Path, console: Console
) -> None:
    """Carry out the rows in order, keeping each number as soon as it is there; finished ones are only read."""
    for name, row in rows.items():
        folder = runs / table / teacher_weights.stem / f"{name.replace('/', '-')}-seed{seed}"
        console.print(f"\n[bold]{table} {name}[/bold]", highlight=False)
        options = {**row.settings, "teacher.weights": str(teacher_weights), "run.seed": seed}
        execute(read_settings(options=options), folder, display=Display(console))
        cell = cell_of(row, folder)
        assert cell is not None
        cells = keep_cell(results / f"{table}.json", cell)
        write_page(TABLES[table], cells, results / f"{table}.md")
        published = "none" if row.published is None else f"{row.published:.2f}"
        console.print(f"{name}: error {cell['value']:.2f} %, published {published}", highlight=False)
