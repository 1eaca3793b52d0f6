"""A table's page: published beside measured, generated from the cells and never typed."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from understudy.experiments.cells import Cell
from understudy.experiments.row import Row


def write_page(name: str, rows: Mapping[str, Row], cells: Sequence[Cell], path: Path) -> None:
    """Markdown: for each teacher one table of error, with the rows that were not run shown as such."""
    teachers = dict.fromkeys((cell["teacher_sha256"], cell["teacher_error_percent"]) for cell in cells)
    parts = [f"# {name}", "Generated from the JSON file beside it. Error in per cent on the test images, last epoch."]
    for fingerprint, error in sorted(teachers, key=lambda teacher: -teacher[1]):
        own = [cell for cell in cells if cell["teacher_sha256"] == fingerprint]
        parts += [
            f"## Teacher with {error:.2f} % error (sha256 {fingerprint[:12]})",
            _errors(rows, own),
            _speeds(own),
        ]
    floor = path.with_name(f"{name}.floor.json")
    if floor.exists():
        parts += ["## A whole step against its floor", _floors(json.loads(floor.read_text(encoding="utf-8")))]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _errors(rows: Mapping[str, Row], cells: Sequence[Cell]) -> str:
    budgets = list(dict.fromkeys((row.epochs_init, row.epochs_train) for row in rows.values()))
    lines = ["| method | " + " | ".join(_budget(*budget) for budget in budgets) + " |"]
    lines.append("| --- |" + " --- |" * len(budgets))
    for label in dict.fromkeys(row.label for row in rows.values()):
        of_method = {(row.epochs_init, row.epochs_train): row for row in rows.values() if row.label == label}
        lines.append(f"| {label} | " + " | ".join(_entry(of_method[budget], cells) for budget in budgets) + " |")
    others = sorted({row.published_epochs for row in rows.values() if row.published_epochs})
    return "\n".join(lines) + f"\n\nMeasured (published{', at ' + ' and '.join(others) + ' epochs' if others else ''})."


def _budget(init: int, train: int) -> str:
    """'1+5', or '12 epochs in all'."""
    return f"{init}+{train}" if init else f"{train} epochs in all"


def _entry(row: Row, cells: Sequence[Cell]) -> str:
    """'16.80 (16.39)', with deviation and count where there are several seeds."""
    published = "none" if row.published is None else f"{row.published:.2f}"
    values = [
        cell["value"]
        for cell in cells
        if all(cell[key] == getattr(row, key) for key in ("method", "epochs_init", "epochs_train", "percent_data"))
    ]
    if not values:
        return f"not run ({published})"
    spread = f" +- {statistics.stdev(values):.2f}, n={len(values)}" if len(values) > 1 else ""
    return f"**{statistics.mean(values):.2f}**{spread} ({published})"


def _speeds(cells: Sequence[Cell]) -> str:
    lines = ["| run | phase | epochs | images/s | training, s | precision |", "| --- | --- | --- | --- | --- | --- |"]
    for cell in cells:
        used = cell["precision"]
        compiled = ", compiled" if used["compile"] else ""
        for phase in cell["phases"]:
            run = f"{cell['method']} {_budget(cell['epochs_init'], cell['epochs_train'])}, seed {cell['seed']}"
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
