"""The rows of a table that are asked for."""

import difflib
from collections.abc import Sequence
from dataclasses import replace

from understudy.experiments import TABLES, Table


def choose_rows(table: str, wanted: Sequence[str]) -> Table:
    """The table with the rows whose name, or a part of it between slashes, is wanted, in the order asked; all where
    none is.

    ValueError for a misfit.
    """
    if table not in TABLES:
        near = difflib.get_close_matches(table, list(TABLES), n=1)
        nearest = f"; nearest: {near[0]}" if near else ""
        raise ValueError(f"there is no table {table!r}; there are {', '.join(TABLES)}{nearest}")
    whole = TABLES[table]
    unknown = [name for name in wanted if not any(_fits(row, name) for row in whole.rows)]
    if unknown:
        raise ValueError(f"{table} has no row {', '.join(unknown)}{_nearest(unknown[0], whole)}")
    if not wanted:
        return whole
    return replace(whole, rows={name: whole.rows[name] for part in wanted for name in whole.rows if _fits(name, part)})


def _fits(name: str, wanted: str) -> bool:
    return wanted == name or wanted in name.split("/")


def _nearest(name: str, table: Table) -> str:
    """The names that are most likely meant; all where none is near."""
    parts = [part for row in table.rows for part in (row, *row.split("/"))]
    near = difflib.get_close_matches(name, list(dict.fromkeys(parts)), n=3)
    return f"; nearest: {', '.join(near)}" if near else f"; it has {', '.join(table.rows)}"
