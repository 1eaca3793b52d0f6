"""A table's page in Markdown: published beside measured, generated from the cells and never typed."""

import json
from collections.abc import Sequence
from pathlib import Path

from understudy.experiments.cells import HELD_OUT, Cell, is_of
from understudy.experiments.formats import markdown
from understudy.experiments.found_wrong import found_wrong
from understudy.experiments.grid import Part, column_of, parts_of, teacher_errors
from understudy.experiments.paired import paired
from understudy.experiments.row import Table
from understudy.spec import write_whole


def write_page(table: Table, cells: Sequence[Cell], path: Path) -> None:
    """The page beside the file of measured numbers: with the runs' speeds, and the floors where they were measured."""
    said = f"Generated from the JSON file beside it. In per cent on {images_of(table)}, last epoch."
    parts = [f"# {table.name}", said]
    for part in parts_of(table, cells):
        parts += [
            heading(part),
            _numbers(part),
            *paired(part),
            *found_wrong(table, part.cells),
            _speeds(table, part.cells),
        ]
    floor = path.parent / "floors" / path.with_suffix(".json").name
    if floor.exists():
        parts += ["## A whole step against its floor", _floors(json.loads(floor.read_text(encoding="utf-8")))]
    write_whole(path, "\n\n".join(parts) + "\n")


def images_of(table: Table) -> str:
    """On which images its numbers are measured."""
    is_held_out = all(row.metric.startswith(HELD_OUT) for row in table.rows.values())
    return "images that were held out of the training ones" if is_held_out else "the test images"


def table_page(table: Table, cells: Sequence[Cell], picture: str) -> str:
    """The page of a table in the documentation: title, source, picture, and the numbers by teacher."""
    parts = [f"# {table.title}", f"{table.citation}. `understudy reproduce {table.name}` measures it.", table.notes]
    parts.append(f"![Published and measured numbers of {table.name}]({picture})")
    for part in parts_of(table, cells):
        parts += [heading(part) if cells else "", _numbers(part), *paired(part)]
    missing = dict.fromkeys(row.missing for row in table.rows.values() if row.missing)
    parts += [f"Cannot be run yet, because this is missing: {'; '.join(map(str, missing))}." if missing else ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(part: Part) -> str:
    """Which teacher the cells are of."""
    if part.teacher is None:
        return "## Without a teacher"
    errors = [f"{error:.2f}" for error in teacher_errors(part.cells)]
    between = " to ".join(dict.fromkeys((errors[0], errors[-1]))) if errors else ""
    said = f"{between} % error" if between else "an error that was not measured"
    return f"## Teacher with {said} (sha256 {part.teacher[:12]})"


def _numbers(part: Part) -> str:
    return f"{markdown(part.grid)}\n\n{legend_of(part.table)}"


def legend_of(table: Table) -> str:
    """What the numbers at a place are, in which unit, and of which budget where the published ones have another."""
    better = _better(table)
    if all(row.published is None for row in table.rows.values()):
        return f"In per cent. {better}"
    others = sorted({row.published_budget for row in table.rows.values() if row.published_budget})
    return f"Measured (published{', at ' + ' and '.join(others) if others else ''}). In per cent. {better}"


def _better(table: Table) -> str:
    kinds = {row.less_is_better for row in table.rows.values()}
    if len(kinds) > 1:
        return "Of errors less is better, of the rest more."
    return "Less is better." if kinds == {True} else "More is better."


def _speeds(table: Table, cells: Sequence[Cell]) -> str:
    """A line for each phase of each run, whichever numbers were read from it."""
    lines = ["| run | phase | epochs | images/s | training, s | precision |", "| --- | --- | --- | --- | --- | --- |"]
    runs: dict[str, list[Cell]] = {}
    for cell in cells:
        runs.setdefault(cell["student_sha256"], []).append(cell)
    for own in runs.values():
        cell = own[0]
        used = cell["precision"]
        compiled = ", compiled" if used["compile"] else ""
        places = ", ".join(dict.fromkeys(column_of(table, one, one["metric"]) for one in own))
        for phase in cell["phases"]:
            run = f"{_title(table, cell)} {places}, seed {cell['seed']}"
            lines.append(
                f"| {run} | {phase['name']} "
                f"| {phase['epochs']} | {phase['images_per_s'] or 0:,.0f} | {phase['train_s']:,.0f} "
                f"| {used['dtype']}, {used['device']}{compiled} |"
            )
    return "\n".join(lines)


def _title(table: Table, cell: Cell) -> str:
    """What the page calls the row of which the cell is."""
    return next((row.title for row in table.rows.values() if is_of(cell, row)), table.name)


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
