"""A table's page in Markdown: published beside measured, generated from the cells and never typed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from understudy.experiments.cells import Cell, is_of
from understudy.experiments.formats import markdown
from understudy.experiments.grid import Grid, by_teacher, column_of, grid_of
from understudy.experiments.row import Table


def write_page(table: Table, cells: Sequence[Cell], path: Path) -> None:
    """The page beside the file of measured numbers: with the runs' speeds, and the floors where they were measured."""
    parts = [f"# {table.name}", "Generated from the JSON file beside it. In per cent on the test images, last epoch."]
    for (fingerprint, error), own in by_teacher(cells).items():
        numbers = _numbers(table, grid_of(table, own))
        parts += [heading(fingerprint, error), numbers, *_found_wrong(table, own), _speeds(table, own)]
    floor = path.with_name(f"{table.name}.floor.json")
    if floor.exists():
        parts += ["## A whole step against its floor", _floors(json.loads(floor.read_text(encoding="utf-8")))]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def table_page(table: Table, cells: Sequence[Cell], picture: str) -> str:
    """The page of a table in the documentation: title, source, picture, and the numbers by teacher."""
    parts = [f"# {table.title}", f"{table.citation}. `understudy reproduce {table.name}` measures it.", table.notes]
    parts.append(f"![Published and measured numbers of {table.name}]({picture})")
    for (fingerprint, error), own in by_teacher(cells).items():
        parts += [heading(fingerprint, error) if cells else "", _numbers(table, grid_of(table, own))]
    missing = dict.fromkeys(row.missing for row in table.rows.values() if row.missing)
    parts += [f"Cannot be run yet, because this is missing: {'; '.join(map(str, missing))}." if missing else ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(fingerprint: str | None, error: float | None) -> str:
    """Which teacher the numbers below are of."""
    if fingerprint is None:
        return "## Without a teacher"
    said = "an error that was not measured" if error is None else f"{error:.2f} % error"
    return f"## Teacher with {said} (sha256 {fingerprint[:12]})"


def _numbers(table: Table, grid: Grid) -> str:
    others = sorted({row.published_budget for row in table.rows.values() if row.published_budget})
    legend = f"Measured (published{', at ' + ' and '.join(others) if others else ''})."
    better = "Less is better." if table.lower_is_better else "More is better."
    return f"{markdown(grid)}\n\n{legend} In per cent. {better}"


def _found_wrong(table: Table, cells: Sequence[Cell]) -> list[str]:
    """How many of the images with a wrong label each selection left out; nothing where none were mislabelled."""
    lines = {}
    for row in table.rows.values():
        for cell in cells:
            for term, found in (cell.get("selection") or {}).items():
                if is_of(cell, row) and "mislabelled" in found:
                    lines[
                        f"| {row.label}, {column_of(table, row.keys, row.metric)} | {term} | {_of_selection(found)} |"
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


def _speeds(table: Table, cells: Sequence[Cell]) -> str:
    lines = ["| run | phase | epochs | images/s | training, s | precision |", "| --- | --- | --- | --- | --- | --- |"]
    for cell in cells:
        used = cell["precision"]
        compiled = ", compiled" if used["compile"] else ""
        place = column_of(table, cell, cell["metric"])
        for phase in cell["phases"]:
            run = f"{cell.get('method', cell.get('transfer_loss', table.name))} {place}, seed {cell['seed']}"
            lines.append(
                f"| {run} | {phase['name']} "
                f"| {phase['epochs']} | {phase['images_per_s'] or 0:,.0f} | {phase['train_s']:,.0f} "
                f"| {used['dtype']}, {used['device']}{compiled} |"
            )
    return "\n".join(lines)


def _floors(measured: Sequence[Cell]) -> str:
    """Speeds of whole and bare steps, measured in alternation by benchmarks/floor.py."""
    lines = [
        "| method | phase | images/s | floor, images/s | time over floor (range) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in measured:
        low, high = one["ratio_range"]
        lines.append(
            f"| {one['method']} | {one['phase']} | {one['images_per_s']:,.0f} | {one['floor_images_per_s']:,.0f} "
            f"| {one['ratio']:.2f} ({low:.2f} to {high:.2f}) |"
        )
    return "\n".join(lines) + (
        "\n\nThe floor: teacher forward (where the phase has one), student forward and backward, and the optimiser's "
        "step, on one resident batch, in the same precision and compiled alike; both are measured in alternation."
    )
