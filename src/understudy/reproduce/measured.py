"""What finished runs measured: kept in the table's file at once, and shown beside what was published."""

import statistics
from collections.abc import Set
from pathlib import Path

import rich.table
from filelock import FileLock

from understudy.experiments import TABLES, Row, Table
from understudy.experiments.cells import Cell, cell_of, is_of, keep_cell, read_cells
from understudy.experiments.cost import run_seconds
from understudy.experiments.grid import metric_name, teacher_errors
from understudy.experiments.page import images_of, write_page
from understudy.reproduce.plan import Run
from understudy.reproduce.quick import quick_table
from understudy.reproduce.show import Estimate
from understudy.spec import write_whole
from understudy.table_pages import table_text

# Of each run, besides the products of its training: loading, measuring the teacher and the student. A guess.
BESIDES_S = 30
# Format -> ending of the file that is written beside the measured numbers.
ENDINGS = {"markdown": "md", "latex": "tex", "csv": "csv", "html": "html"}


class Measured:
    """The cells of a table in `results`, which other processes may write to at the same time."""

    def __init__(self, table: Table, results: Path, *, is_quick: bool):
        self.table, self.is_quick = table, is_quick
        self.whole = quick_table(TABLES[table.name]) if is_quick else TABLES[table.name]
        self.path, self.page = results / f"{table.name}.json", results / f"{table.name}.md"

    def cells(self) -> list[Cell]:
        return read_cells(self.path)

    def keep(self, run: Run) -> dict[str, float | None]:
        """The finished run's number in each of its rows, None where its summary has none; all are in the file now."""
        found = {name: cell_of(self.table.rows[name], run.folder) for name in run.rows}
        cells = {name: cell for name, cell in found.items() if cell is not None}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            there = self.cells()
            for name, cell in cells.items():
                if self.is_quick:
                    cell["command"] = f"understudy reproduce {self.table.name} {name} --seed {run.seed} --quick"
                if cell not in there:
                    keep_cell(self.path, cell)
            write_page(self.whole, self.cells(), self.page)
        return {name: None if cell is None else cell["value"] for name, cell in found.items()}

    def write(self, form: str) -> Path:
        """The whole table in one of ENDINGS, with all that is measured; its path."""
        path = self.page.with_suffix(f".{ENDINGS[form]}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if form == "markdown":
                write_page(self.whole, self.cells(), path)
            else:
                write_whole(path, table_text(self.whole, form, path.parent))
        return path

    def _alone(self) -> FileLock:
        """Held while the table's files are written: several grids may share the folder."""
        return FileLock(self.path.with_name(f".{self.path.name}.lock"))

    def estimate(self, run: Run) -> Estimate | None:
        """How long runs of the same rows took, with any seed and teacher and on any machine; else from products."""
        rows = [self.table.rows[name] for name in run.rows]
        taken = [cell["wall_s"] for cell in self.cells() if any(is_of(cell, row) for row in rows)]
        if taken:
            return Estimate(seconds=statistics.median(taken), is_measured=True)
        # A quick run is short because of its few images, which its settings do not show.
        products_s = None if self.is_quick else run_seconds(run.settings)
        return None if products_s is None else Estimate(seconds=BESIDES_S + products_s, is_measured=False)

    def show(self, teachers: Set[str | None]) -> rich.table.Table:
        """Published beside measured, over all seeds that are in the file with one of these teachers (SHA-256)."""
        cells = [cell for cell in self.cells() if cell["teacher_sha256"] in teachers]
        is_printed = any(row.published is not None for row in self.table.rows.values())
        columns = ("row", "metric", *(("published",) if is_printed else ()), "measured", "seeds")
        errors = ", ".join(f"{error:.2f} %" for error in teacher_errors(cells))
        taught = f"; the teacher's error: {errors}" if errors else ""
        shown = rich.table.Table(
            *columns, title=self.table.title, caption=f"After the last epoch, on {images_of(self.table)}{taught}"
        )
        for name, row in self.table.rows.items():
            own = {cell["seed"]: cell["value"] for cell in cells if is_of(cell, row)}
            seeds = " ".join(map(str, sorted(own)))
            beside = (row.published_in_words,) if is_printed else ()
            shown.add_row(name, metric_name(row.metric), *beside, _mean(list(own.values()), row), seeds)
        return shown


def _mean(values: list[float], row: Row) -> str:
    """'16.80 +- 0.41'."""
    if not values:
        return f"not run: {row.missing}" if row.missing else "not run"
    deviation = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"
