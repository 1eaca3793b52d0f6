"""A table as it stands on a page: labels down, key columns across, published and measured numbers at each place."""

import statistics
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from understudy.experiments.cells import Cell, is_of
from understudy.experiments.row import Key, Row, Table

BUDGET = ("epochs_init", "epochs_train")
METRICS = {
    "error_percent": "error",
    "accuracy_percent": "accuracy",
    "top1_error_percent": "top-1 error",
    "top5_error_percent": "top-5 error",
    "same_activation_percent": "equal activations",
    "mean_average_precision_percent": "mean average precision",
    "average_precision_percent": "average precision",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One place: the published number (None: there is none), one measured number for each seed, all in per cent.

    `missing` says what a run would need that is not there.
    """

    published: float | None
    measured: tuple[float, ...]
    missing: str | None

    @property
    def mean(self) -> float | None:
        return statistics.mean(self.measured) if self.measured else None

    @property
    def deviation(self) -> float | None:
        """Over seeds; None for fewer than two."""
        return statistics.stdev(self.measured) if len(self.measured) > 1 else None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """`lines` has a label's entries, one for each column; None where the table has no such row."""

    columns: tuple[str, ...]
    lines: Mapping[str, tuple[Entry | None, ...]]

    @property
    def entries(self) -> list[Entry]:
        return [entry for line in self.lines.values() for entry in line if entry is not None]


def grid_of(table: Table, cells: Sequence[Cell]) -> Grid:
    """The table with these cells, of one teacher, in it."""
    places = {(row.title, column_of(table, row.keys, row.metric)): row for row in table.rows.values()}
    columns = tuple(dict.fromkeys(column for _, column in places))
    return Grid(
        columns=columns,
        lines={
            label: tuple(_entry(places.get((label, column)), cells) for column in columns)
            for label in dict.fromkeys(label for label, _ in places)
        },
    )


def _entry(row: Row | None, cells: Sequence[Cell]) -> Entry | None:
    if row is None:
        return None
    measured = tuple(cell["value"] for cell in cells if is_of(cell, row))
    return Entry(published=row.published, measured=measured, missing=row.missing)


def column_of(table: Table, keys: Mapping[str, Key], metric: str) -> str:
    """What tells the columns of the page apart: '1+5', '10 %', '5 a class', 'cub_200, recall at 1'."""
    if table.across == BUDGET:
        init, train = (keys[name] for name in BUDGET)
        return f"{init}+{train}" if init else f"{train} epochs in all"
    return ", ".join(metric_name(metric) if name == "metric" else _words(name, keys[name]) for name in table.across)


def _words(name: str, value: Key) -> str:
    units = {"percent_data": f"{value} %", "samples_per_class": f"{value} a class", "margin": f"margin {value}"}
    return units.get(name, str(value).replace("_", " "))


def metric_name(metric: str) -> str:
    """'top-1 error', 'recall at 10'."""
    return METRICS.get(metric, metric.removesuffix("_percent").replace("_", " "))


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one teacher taught: its fingerprint (None: there was none), its rows, and its cells and those of no teacher.

    A row that wants another teacher is in it only where that one's part is missing.
    """

    teacher: str | None
    table: Table
    cells: list[Cell]

    @property
    def grid(self) -> Grid:
        return grid_of(self.table, self.cells)


def parts_of(table: Table, cells: Sequence[Cell]) -> list[Part]:
    """A table in parts, one for each teacher, the worst first; without any teacher in one."""
    wanted = {teacher: {_recipe(table, cell) for cell in own} for teacher, own in by_teacher(cells).items()}
    measured = set[str | None]().union(*wanted.values())
    return [
        Part(teacher=teacher, table=_without(table, measured - wanted[teacher]), cells=own)
        for teacher, own in by_teacher(cells).items()
    ]


def _recipe(table: Table, cell: Cell) -> str | None:
    """The name of the teacher that the cell's row wants; None for rows without one, and where there is no such row."""
    return next((row.teacher for row in table.rows.values() if is_of(cell, row)), None)


def _without(table: Table, recipes: Set[str | None]) -> Table:
    return replace(table, rows={name: row for name, row in table.rows.items() if row.teacher not in recipes})


def most_measured(table: Table, cells: Sequence[Cell]) -> list[Cell]:
    """For each teacher that rows want, the cells of the one that has most of them; and those without any teacher."""
    chosen = [cell for cell in cells if cell["teacher_sha256"] is None]
    by_recipe: dict[str | None, dict[str, list[Cell]]] = {}
    for cell in cells:
        if cell["teacher_sha256"] is not None:
            own = by_recipe.setdefault(_recipe(table, cell), {})
            own.setdefault(cell["teacher_sha256"], []).append(cell)
    return [*chosen, *(cell for own in by_recipe.values() for cell in max(own.values(), key=len))]


def by_teacher(cells: Sequence[Cell]) -> dict[str | None, list[Cell]]:
    """The fingerprint of each teacher -> its cells and those that have none; the worst teacher first.

    Without any teacher, all cells under None.
    """
    alone = [cell for cell in cells if cell["teacher_sha256"] is None]
    taught: dict[str | None, list[Cell]] = {}
    for cell in cells:
        if cell["teacher_sha256"] is not None:
            taught.setdefault(cell["teacher_sha256"], []).append(cell)
    in_order = sorted(taught.items(), key=lambda pair: -max(teacher_errors(pair[1]), default=0.0))
    return {teacher: [*alone, *own] for teacher, own in in_order} or {None: alone}


def teacher_errors(cells: Sequence[Cell]) -> list[float]:
    """What was measured of the cells' teacher, in per cent, least first: two machines may differ in the last digit."""
    return sorted({cell["teacher_error_percent"] for cell in cells if cell["teacher_error_percent"] is not None})
