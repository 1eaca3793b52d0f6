"""The comparison as a table in a terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .comparable import best_among, finished_students
from .seeds import HEADINGS, Seeds, best_over_seeds, over_seeds
from .table import Column, Row, columns

WIDEST_WORDS = 22


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Prints as many columns as the console is wide enough for; the less important ones go first.

    Under it, where several seeds were run, their means.
    """
    shown = columns(rows)
    while len(shown) > 1 and _width(shown, rows) > console.width:
        shown.remove(max(shown, key=lambda column: column.rank))
    console.print(_table(shown, rows))
    several = over_seeds(rows)
    if several:
        console.print()
        console.print(_means(several))


def _means(several: Sequence[Seeds]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(Text(heading), justify="left" if heading == HEADINGS[0] else "right")
    best = best_over_seeds(several) if len(several) > 1 else None
    for one in several:
        table.add_row(*map(Text, one.cells), style="bold green" if one is best else "")
    return table


def _table(shown: Sequence[Column], rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for column, width in zip(shown, _widths(shown, rows), strict=True):
        side = "right" if column.is_number else "left"
        table.add_column(Text(column.heading), justify=side, min_width=width, max_width=width)
    is_single = len(finished_students(rows)) > 1 and not over_seeds(rows)
    best = best_among(rows) if is_single else None
    for row in rows:
        style = "bold green" if row is best else "dim" if row.is_teacher else ""
        table.add_row(*(Text(column.cell(row)) for column in shown), style=style)
    return table


def _widths(shown: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    """Cells: numbers on one line, words may fold; a heading folds at its spaces."""
    widths = []
    for column in shown:
        longest = max(Text(column.cell(row)).cell_len for row in rows)
        heading = max(len(word) for word in column.heading.split())
        widths.append(max(heading, longest if column.is_number else min(longest, WIDEST_WORDS)))
    return widths


def _width(shown: Sequence[Column], rows: Sequence[Row]) -> int:
    """Of the whole table: behind every cell comes a space, and another between two columns."""
    return sum(_widths(shown, rows)) + 2 * len(shown) - 1
