"""What `understudy evaluate` measured of a detector, in a terminal: from the dictionary that it also writes as JSON."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_detection(found: dict[str, Any], console: Console) -> None:
    """Prints the means as a sentence and the classes as a table, in the order of the data."""
    scores = found["scores"]
    console.print(Text(f"{found['model']} on {found['num_images']:,} {found['split']} images of {found['data']}"))
    console.print(
        Text(
            f"mAP {scores['map_pct']:.2f} % (eleven points, VOC 2007), {scores['map_area_pct']:.2f} % (area, VOC 2010)"
        )
    )
    coco = found["coco"]
    if coco is not None:
        at = f"{coco['ap50_pct']:.2f} % at 0.5, {coco['ap75_pct']:.2f} % at 0.75"
        console.print(Text(f"AP {coco['ap_pct']:.2f} % over overlaps from 0.5 to 0.95 (COCO), {at}"))
    size = f"{found['parameters']:,} parameters, {found['precision']['dtype']}"
    console.print(Text(f"{size}, {found['images_per_s']:,.1f} images/s"))
    console.print()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    table.add_column("class", overflow="fold")
    for heading in ("objects", "AP %, eleven points", "AP %, area"):
        table.add_column(heading, justify="right")
    for one in found["per_class"]:
        table.add_row(Text(one["name"]), f"{one['num_objects']:,}", _number(one["ap_pct"]), _number(one["ap_area_pct"]))
    console.print(table)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
