"""Measured numbers: a cell from a finished run, and the file that keeps a table's cells."""

import json
import os
from pathlib import Path
from typing import Any

from understudy.experiments.row import Row

Cell = dict[str, Any]
KEYS = ("method", "teacher", "student", "dataset", "epochs_init", "epochs_train", "percent_data")


def cell_of(row: Row, folder: Path) -> Cell | None:
    """The row's number from a run's folder, with what it takes to measure it again; None while it is unfinished."""
    if not (folder / "summary.json").exists():
        return None
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {
        **{key: getattr(row, key) for key in KEYS},
        "metric": row.metric,
        "value": round(summary["scores"]["error_pct"], 2),
        "published": row.published,
        **({"published_epochs": row.published_epochs} if row.published_epochs else {}),
        "seed": run["seed"],
        "command": command_of(row, run),
        "teacher_sha256": run["teacher"]["sha256"],
        "teacher_error_percent": round(run["teacher"]["scores"]["error_pct"], 2),
        "data_sha256": run["data"]["sha256"],
        "student_sha256": summary["student_sha256"],
        "precision": run["precision"],
        "phases": summary["phases"],
        "agreement": summary["agreement"],
        "versions": run["versions"],
        "hardware": run["hardware"],
        "wall_s": summary["wall_s"],
    }


def command_of(row: Row, run: dict[str, Any]) -> str:
    """The command that does this one run again; the teacher's file goes by its name alone."""
    weights = Path(run["teacher"]["weights"] or "TEACHER").name
    command = (
        f"understudy distill --teacher {row.settings['teacher.model']} --teacher-weights {weights} "
        f"--student {row.settings['student.model']} --method {row.settings['method.name']} "
        f"--data {row.settings['data.name']} --epochs {row.settings['epochs']} --seed {run['seed']}"
    )
    further = {"--batch-size": "batch_size", "--balance": "run.balance"}
    command += "".join(f" {flag} {row.settings[key]}" for flag, key in further.items() if key in row.settings)
    return command + (f" data.percent={row.percent_data:g}" if row.percent_data < 100 else "")


def read_cells(path: Path) -> list[Cell]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def keep_cell(path: Path, cell: Cell) -> list[Cell]:
    """Put the cell into the file, in place of an earlier one of the same row, seed and teacher; all cells."""
    cells = [old for old in read_cells(path) if _identity(old) != _identity(cell)] + [cell]
    cells.sort(key=lambda one: json.dumps(_identity(one)))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
    return cells


def _identity(cell: Cell) -> list[Any]:
    return [cell[key] for key in (*KEYS, "metric", "seed", "teacher_sha256")]
