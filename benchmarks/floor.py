"""How close the whole steps of finished runs are to their floors: the file beside the table of results.

The runs' method, networks and batch size are measured as training.py does, on images of CIFAR's shape.

    python -m benchmarks.floor RUN [RUN ...] [--out results/ab_table1.floor.json]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.pair import Pair
from benchmarks.training import measure
from understudy.engine import facts
from understudy.spec import Settings


def rows(folder: Path) -> list[dict[str, Any]]:
    """One row for each phase of the run in the folder."""
    settings = Settings.model_validate(yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8")))
    teacher = settings.teacher.model if settings.teacher else settings.student.model
    pair = Pair(student=settings.student.model, teacher=teacher, batch_size=settings.batch_size, size=32)
    found = measure(settings.method.name, pair=pair)
    return [
        {
            "method": settings.method.name,
            "phase": phase["phase"],
            "images_per_s": phase["images_per_s"]["median"],
            "floor_images_per_s": phase["floor_images_per_s"]["median"],
            "ratio": phase["over_floor"]["median"],
            "ratio_range": [phase["over_floor"]["min"], phase["over_floor"]["max"]],
            "precision": found["precision"],
            "versions": facts.versions(),
            "hardware": facts.hardware(torch.device(found["precision"]["device"])),
        }
        for phase in found["phases"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+", help="folders of runs; their settings are measured")
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    wanted = parser.parse_args()
    found = [row for folder in wanted.run for row in rows(folder)]
    for row in found:
        low, high = row["ratio_range"]
        print(
            f"{row['method']} {row['phase']}: {row['images_per_s']:.0f} images/s, floor "
            f"{row['floor_images_per_s']:.0f} images/s, time over floor {row['ratio']:.2f} ({low:.2f} to {high:.2f})"
        )
    if wanted.out is not None:
        wanted.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
