"""The rows of a table that are asked for."""

from collections.abc import Sequence
from dataclasses import replace

from understudy.experiments import TABLES, Table
from understudy.spec import nearest


def choose_rows(table: str, wanted: Sequence[str]) -> Table:
    """The table with the rows that are wanted, in the order asked: the row of that name, or else all whose names have
    it as a part between slashes. All rows where none is wanted.

    ValueError for a misfit.
    """
    if table not in TABLES:
        raise ValueError(f"there is no table {table!r}; there are {', '.join(TABLES)}{nearest(table, TABLES)}")
    whole = TABLES[table]
    unknown = [name for name in wanted if not _fitting(name, whole)]
    if unknown:
        raise ValueError(f"{table} has no row {', '.join(unknown)}{_nearest(unknown[0], whole)}")
    if not wanted:
        return whole
    return replace(whole, rows={name: whole.rows[name] for one in wanted for name in _fitting(one, whole)})


def _fitting(wanted: str, table: Table) -> list[str]:
    return [wanted] if wanted in table.rows else [name for name in table.rows if wanted in name.split("/")]


def _nearest(name: str, table: Table) -> str:
    """The names that are most likely meant; all where none is near."""
    parts = [part for row in table.rows for part in (row, *row.split("/"))]
    return nearest(name, dict.fromkeys(parts), count=3, cutoff=0.6) or f"; it has {', '.join(table.rows)}"
