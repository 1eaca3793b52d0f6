"""What each method gains on the student alone, seed by seed, as a table in Markdown."""

from collections.abc import Sequence

from tabulate import tabulate

from understudy.experiments.cells import Cell, is_of
from understudy.experiments.grid import Part, column_of
from understudy.experiments.row import Row, Table
from understudy.spec.gains import gain_on

# What has to be equal, besides place on the page and number of epochs, for rows to be compared: else more than the
# method differs.
SHARED = ("student.", "data.", "batch_size", "optim.lr")


def paired(part: Part) -> list[str]:
    """The mean difference to the student alone of the same seed, its deviation, and in how many seeds it is better.

    Nothing where no two seeds of both were run, and for rows of other epochs, batches or rates. Seeds decide weights,
    order and augmentation of both runs, so that a difference varies less than either number does.
    """
    table = part.table
    found: dict[str, dict[str, str]] = {}
    for row in table.rows.values():
        words = _difference(row, _alone(table, row), part.cells, table)
        if words:
            found.setdefault(row.title, {})[column_of(table, row.keys, row.metric)] = words
    if not found:
        return []
    columns = list(dict.fromkeys(column for line in found.values() for column in line))
    lines = [[label, *(line.get(column, "") for column in columns)] for label, line in found.items()]
    drawn = tabulate(lines, headers=["", *columns], tablefmt="github", disable_numparse=True)
    return [f"Beside the student alone of the same seed, in points, and in how many seeds it is better:\n\n{drawn}"]


def _alone(table: Table, row: Row) -> Row | None:
    """The row of the student by itself that this one is to be compared with, if there is one."""
    for other in table.rows.values():
        # A task, and a method, that are not named are the settings' defaults.
        ours = other.settings.get("task", "distill"), other.settings.get("method.name", "none")
        is_alone = bool(other.settings) and ours == ("distill", "none")
        if is_alone and other is not row and _place(table, other) == _place(table, row):
            return other
    return None


def _place(table: Table, row: Row) -> tuple[object, ...]:
    shared = {key: value for key, value in row.settings.items() if key.startswith(SHARED)}
    epochs = sum(int(part) for part in str(row.settings.get("epochs", "0")).split("+"))
    return (
        row.reading,
        row.start,
        row.metric,
        column_of(table, row.keys, row.metric),
        epochs,
        repr(sorted(shared.items())),
    )


def _difference(row: Row, alone: Row | None, cells: Sequence[Cell], table: Table) -> str:
    """'-3.42 +- 0.80, 3 of 3'; empty where fewer than two seeds are there of both."""
    if alone is None:
        return ""
    own, others = ({cell["seed"]: cell["value"] for cell in cells if is_of(cell, one)} for one in (row, alone))
    gain = gain_on(own, others, less_is_better=row.less_is_better)
    return f"{gain.mean:+.2f} +- {gain.deviation:.2f}, {gain.better} of {gain.seeds}" if gain else ""
