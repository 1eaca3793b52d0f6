"""Which of the images with a wrong label the selections left out, as a table in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.experiments.cells import Cell, is_of
from understudy.experiments.grid import column_of
from understudy.experiments.row import Table


def found_wrong(table: Table, cells: Sequence[Cell]) -> list[str]:
    """How many of the images with a wrong label each selection left out; nothing where none were mislabelled."""
    lines = {}
    for row in table.rows.values():
        for cell in cells:
            for term, found in (cell.get("selection") or {}).items():
                if is_of(cell, row) and "mislabelled" in found:
                    lines[
                        f"| {row.title}, {column_of(table, row.keys, row.metric)} | {term} | {_of_selection(found)} |"
                    ] = None
    if not lines:
        return []
    headings = "| row | term | images left out | mislabelled ones among them | precision, % | recall, % |"
    return ["\n".join([headings, "| --- | --- | --- | --- | --- | --- |", *lines])]


def _of_selection(found: Mapping[str, Any]) -> str:
    """Images left out, mislabelled ones among them, precision and recall, as cells of a table."""
    precision = "–" if found["precision_pct"] is None else f"{found['precision_pct']:.1f}"
    caught = f"{found['mislabelled_dropped']} of {found['mislabelled']}"
    return (
        f"{found['images'] - found['kept']} of {found['images']} | {caught} | {precision} | {found['recall_pct']:.1f}"
    )
