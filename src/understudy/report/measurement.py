"""What `understudy evaluate` measured, in a terminal: from the dictionary that it also writes as JSON."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from understudy.spec.scores import in_words

MOST_CLASSES = 15


def print_scores(found: dict[str, Any], console: Console) -> None:
    """Prints the numbers of a network that answers something else than classes, its teacher's beside them."""
    console.print(Text(f"{found['model']} on {found['num_images']:,} {found['split']} images of {found['data']}"))
    for whose, one in (("", found), ("teacher ", found["teacher"])):
        if one:
            said = ", ".join(in_words(name, one["scores"]) for name in one["scores"])
            console.print(Text(f"{whose + one['model'] + ': ' if whose else ''}{said}"))
    console.print(Text(_size(found)))


def print_measurement(found: dict[str, Any], console: Console, *, all_classes: bool = False) -> None:
    """Prints the sums as sentences and the classes as a table: the 15 worst of them, or all."""
    for line in _sentences(found):
        console.print(Text(line))
    ordered = sorted(found["per_class"], key=_worst_first)
    shown = ordered if all_classes else ordered[:MOST_CLASSES]
    console.print()
    console.print(_table(shown))
    if len(shown) < len(ordered):
        console.print(Text(f"and {len(ordered) - len(shown)} classes more, better read than these: --all"))


def _sentences(found: dict[str, Any]) -> list[str]:
    teacher = found["teacher"]
    lines = [
        f"{found['model']} on {found['num_images']:,} {found['split']} images of {found['data']}",
        f"accuracy {found['accuracy_pct']:.2f} %, error {found['error_pct']:.2f} %"
        + ("" if found["top5_pct"] is None else f", top-5 {found['top5_pct']:.2f} %"),
        f"cross-entropy {found['nll']:.4f}, mean confidence {found['mean_confidence_pct']:.2f} %, "
        f"expected calibration error {found['ece_pct']:.2f} %",
    ]
    if teacher:
        lines.append(
            f"teacher {teacher['model']} ({teacher['accuracy_pct']:.2f} %): {teacher['equal_pct']:.2f} % of the "
            f"answers equal, KL {teacher['kl']:.4f}"
        )
    return [*lines, _size(found)]


def _size(found: dict[str, Any]) -> str:
    size = "" if found["parameters"] is None else f"{found['parameters']:,} parameters, "
    speed = f", {found['images_per_s']:,.0f} images/s" if found["images_per_s"] else ""
    return f"{size}{found['precision']['dtype']}, {found['runtime']}{speed}"


def _worst_first(one: dict[str, Any]) -> tuple[float, str]:
    """Classes without images come last."""
    return (101.0 if one["accuracy_pct"] is None else one["accuracy_pct"], one["name"])


def _table(shown: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    table.add_column("class", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("right, %", justify="right", no_wrap=True)
    table.add_column("mostly taken for", overflow="fold")
    table.add_column("%", justify="right", no_wrap=True)
    for one in shown:
        table.add_row(
            Text(one["name"]),
            f"{one['num_images']:,}",
            "–" if one["accuracy_pct"] is None else f"{one['accuracy_pct']:.2f}",
            Text(one["taken_for"] or "–"),
            f"{one['taken_for_pct']:.2f}" if one["taken_for"] else "–",
        )
    return table
