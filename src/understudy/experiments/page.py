"""A table's page: published beside measured, generated from the cells and never typed."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from understudy.experiments.cells import Cell, is_of
from understudy.experiments.row import Key, Row, Table


def write_page(table: Table, cells: Sequence[Cell], path: Path) -> None:
    """Markdown: for each teacher one table of error, with the rows that were not run shown as such."""
    teachers = dict.fromkeys((cell["teacher_sha256"], cell["teacher_error_percent"]) for cell in cells)
    parts = [
        f"# {table.name}",
        "Generated from the JSON file beside it. Error in per cent on the test images, last epoch.",
    ]
    for fingerprint, error in sorted(teachers, key=lambda teacher: -teacher[1]):
        own = [cell for cell in cells if cell["teacher_sha256"] == fingerprint]
        parts += [
            f"## Teacher with {error:.2f} % error (sha256 {fingerprint[:12]})",
            _errors(table, own),
            *_found_wrong(table, own),
            _speeds(table, own),
        ]
    floor = path.with_name(f"{table.name}.floor.json")
    if floor.exists():
        parts += ["## A whole step against its floor", _floors(json.loads(floor.read_text(encoding="utf-8")))]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _errors(table: Table, cells: Sequence[Cell]) -> str:
    rows = table.rows.values()
    columns = list(dict.fromkeys(_across(table, row.keys) for row in rows))
    lines = ["| method | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for label in dict.fromkeys(row.label for row in rows):
        of_label = {_across(table, row.keys): row for row in rows if row.label == label}
        lines.append(f"| {label} | " + " | ".join(_entry(of_label[column], cells) for column in columns) + " |")
    others = sorted({row.published_budget for row in rows if row.published_budget})
    return "\n".join(lines) + f"\n\nMeasured (published{', at ' + ' and '.join(others) if others else ''})."


def _across(table: Table, keys: Mapping[str, Key]) -> str:
    """'1+5', or '12 epochs in all': what tells the columns of the page apart."""
    if "epochs_init" in table.across:
        return (
            f"{keys['epochs_init']}+{keys['epochs_train']}"
            if keys["epochs_init"]
            else f"{keys['epochs_train']} epochs in all"
        )
    return " ".join(f"{keys[name]}" for name in table.across)


def _entry(row: Row, cells: Sequence[Cell]) -> str:
    """'16.80 (16.39)', with deviation and count where there are several seeds."""
    published = "none" if row.published is None else f"{row.published:.2f}"
    values = [cell["value"] for cell in cells if is_of(cell, row)]
    if not values:
        return f"not run ({published})"
    spread = f" +- {statistics.stdev(values):.2f}, n={len(values)}" if len(values) > 1 else ""
    return f"**{statistics.mean(values):.2f}**{spread} ({published})"


def _found_wrong(table: Table, cells: Sequence[Cell]) -> list[str]:
    """How many of the images with a wrong label each selection left out; nothing where none were mislabelled."""
    lines = {}
    for row in table.rows.values():
        for cell in cells:
            for term, found in (cell.get("selection") or {}).items():
                if is_of(cell, row) and "mislabelled" in found:
                    lines[f"| {row.label}, {_across(table, row.keys)} | {term} | {_of_selection(found)} |"] = None
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
        for phase in cell["phases"]:
            run = f"{cell['method']} {_across(table, cell)}, seed {cell['seed']}"
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
