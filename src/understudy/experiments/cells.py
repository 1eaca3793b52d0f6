"""Measured numbers: a cell from a finished run, and the file that keeps a table's cells."""

import json
import shlex
from pathlib import Path
from typing import Any

from understudy.experiments.row import Row
from understudy.experiments.value import value_of
from understudy.spec import read_object, whole_file
from understudy.spec.run_files import FACTS, STUDENT, SUMMARY, WEIGHTS

Cell = dict[str, Any]
# What metrics on images that are held out to choose by begin with.
HELD_OUT = "validation_"
# What a cell has beside the row's key columns.
MEASURED = (
    "metric", "value", "test_error_percent", "best", "headline", "published", "published_method", "published_budget",
    "seed", "command", "teacher_sha256", "teacher_error_percent", "start_sha256", "data_sha256", "student_sha256",
    "precision", "phases", "agreement", "selection", "versions", "hardware", "went_on", "wall_s",
)  # fmt: skip
# Settings that have an option of their own on the command line.
OPTIONS = {
    "teacher.model": "--teacher",
    "teacher.weights": "--teacher-weights",
    "student.model": "--student",
    "student.weights": "--weights",
    "method.name": "--method",
    "data.name": "--data",
    "epochs": "--epochs",
    "run.seed": "--seed",
    "batch_size": "--batch-size",
    "run.balance": "--balance",
}


def cell_of(row: Row, folder: Path) -> Cell | None:
    """The row's number from a run's folder, with what it takes to measure it again; None while it is unfinished."""
    if not (folder / SUMMARY).exists():
        return None
    run, summary = read_object(folder / FACTS, "teacher", "data"), read_object(folder / SUMMARY, "scores", "headline")
    value = value_of(row, summary)
    if value is None:
        return None
    teacher = run["teacher"]
    return {
        **row.keys,
        "metric": row.metric,
        "value": round(value, 2),
        **_on_test(row, summary),
        "best": _best(summary),
        "headline": summary["headline"],
        "published": row.published,
        **({"published_method": row.published_method} if row.published_method else {}),
        **({"published_budget": row.published_budget} if row.published_budget else {}),
        "seed": run["seed"],
        "command": command_of(row, run),
        "teacher_sha256": teacher["sha256"] if teacher else None,
        "teacher_error_percent": _error_of(teacher),
        **_start(folder),
        "data_sha256": run["data"]["sha256"],
        "student_sha256": summary["student_sha256"],
        "precision": run["precision"],
        "phases": summary["phases"],
        "agreement": summary["agreement"],
        **({"selection": summary["selection"]} if summary.get("selection") else {}),
        "versions": run["versions"],
        "hardware": run["hardware"],
        **({"went_on": run["went_on"]} if run.get("went_on") else {}),
        "wall_s": summary["wall_s"],
    }


def _error_of(teacher: dict[str, Any] | None) -> float | None:
    """In per cent; None where it was not measured, and of teachers that are no classifiers."""
    error_pct = ((teacher or {}).get("scores") or {}).get("error_pct")
    return None if error_pct is None else round(error_pct, 2)


def _start(folder: Path) -> dict[str, str]:
    """The fingerprint of the weights that the student began with, where there are any and it is known."""
    known = folder / WEIGHTS
    began_with = json.loads(known.read_text(encoding="utf-8")) if known.exists() else {}
    return {"start_sha256": began_with["student.weights"]} if "student.weights" in began_with else {}


def _on_test(row: Row, summary: dict[str, Any]) -> dict[str, float]:
    """Beside an error on held-out images, by which recipes are chosen, what the same student has on the test images."""
    error_pct = summary["scores"].get("error_pct")
    return {"test_error_percent": round(error_pct, 2)} if row.metric.startswith(HELD_OUT) and error_pct else {}


def _best(summary: dict[str, Any]) -> dict[str, Any] | None:
    """The best epoch on the images held out to choose by, by the task's headline; None where there were none.

    `test` is what its student comes to on the test images. The best one on these would be a choice by them, so it is
    not kept.
    """
    best = summary["best"]
    if not best or best["split"] != "validation":
        return None
    headline = summary["headline"]
    on_test = {"test": best["test_scores"][headline]} if "test_scores" in best else {}
    return {headline: best["score"], "epoch": best["epoch"], **on_test}


def command_of(row: Row, run: dict[str, Any]) -> str:
    """The command that does this one run again; files of weights go by their names, and by their folders' of runs."""
    settings: dict[str, object] = {**row.settings, "run.seed": run["seed"]}
    if run["teacher"]:
        settings["teacher.weights"] = _file_name(run["teacher"]["weights"] or "TEACHER")
    if run["student"].get("weights"):
        settings["student.weights"] = _file_name(run["student"]["weights"])
    options = [f"{flag} {shlex.quote(_word(settings[key]))}" for key, flag in OPTIONS.items() if key in settings]
    words = [shlex.quote(f"{key}={_word(value)}") for key, value in settings.items() if key not in {*OPTIONS, "task"}]
    if row.settings.get("task") == "train":
        options = [option.replace("--student ", "--model ") for option in options]
        return " ".join(["understudy train", *options, *words])
    return " ".join(["understudy distill", *options, *words])


def _file_name(path: str) -> str:
    """TEACHER.safetensors; FOLDER/student.safetensors of a run's folder."""
    file = Path(path)
    return str(Path(file.parent.name, file.name)) if file.name == STUDENT else file.name


def _word(value: object) -> str:
    """A setting's value as it is typed: 10, 0.5, true, [0.35,1]."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_word, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def read_cells(path: Path) -> list[Cell]:
    """The table's cells; none where there is no file. Raises ValueError where it holds anything else."""
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: not JSON ({error.msg}); expected a list of cells") from None
    if not isinstance(found, list):
        raise ValueError(f"{path}: found a {type(found).__name__}; expected a list of cells")
    return found


def keep_cell(path: Path, cell: Cell) -> list[Cell]:
    """Put the cell into the file, in place of an earlier one of the same row, seed and teacher; all cells."""
    cells = [old for old in read_cells(path) if _identity(old) != _identity(cell)] + [cell]
    cells.sort(key=lambda one: json.dumps(_identity(one)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write((json.dumps(cells, indent=1) + "\n").encode())
    return cells


def is_of(cell: Cell, row: Row) -> bool:
    """Whether the cell is a measurement of this row."""
    return cell["metric"] == row.metric and _keys(cell) == dict(row.keys)


def _keys(cell: Cell) -> Cell:
    return {name: value for name, value in cell.items() if name not in MEASURED}


def _identity(cell: Cell) -> list[Any]:
    """What tells cells apart: key columns, metric, seed and teacher."""
    return [sorted(_keys(cell).items()), cell["metric"], cell["seed"], cell["teacher_sha256"]]
