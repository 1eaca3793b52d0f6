"""A run's best epoch: which it was, and the student of that epoch where held-out images chose it.

What was best on test images is a choice by them, so no student is kept of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from understudy.engine.measure.scores import scores_on
from understudy.engine.networks import student_metadata
from understudy.engine.plan import Plan
from understudy.engine.records.record import read_lines
from understudy.models import read_metadata, save_weights
from understudy.precision import Precision
from understudy.spec import run_files
from understudy.tasks import Task

# In the file of the best epoch's student: its score on the held-out images.
SCORE = "held_out_score"


def best_epoch(out: Path, task: Task) -> dict[str, Any] | None:
    """The best epoch of the log, its score, and on which images it is the best; None where none was measured."""
    measured = [
        {"score": scores[task.headline], "epoch": line["epoch"], "split": split}
        for line in read_lines(out)
        if line["kind"] == "epoch" and line["scores"]
        for split, scores in line["scores"].items()
    ]
    return max(measured, key=lambda one: one["score"]) if measured else None


def keep_if_best(plan: Plan, out: Path, scores: dict[str, dict[str, float]] | None) -> None:
    """Write the student as it is now, if these scores on held-out images are better than all in the log."""
    if not scores or "validation" not in scores:
        return
    score, before = scores["validation"][plan.task.headline], best_epoch(out, plan.task)
    if before is None or score > before["score"]:
        write_student(plan, out / run_files.BEST, {SCORE: repr(score)})


def write_student(plan: Plan, path: Path, beside: Mapping[str, str] | None = None) -> None:
    """The student's weights, with what its file says of itself and what is given beside that."""
    student = plan.assembled
    said = student_metadata(plan.settings.student.model, plan.data, student, plan.shapes["student"])
    save_weights(student, path, said | plan.task.metadata(student) | dict(beside or {}))


def is_kept(out: Path, best: dict[str, Any]) -> bool:
    """Whether the student of this epoch is in the folder.

    A run that was killed after its best epoch, and did not come to the same numbers again, may have kept another.
    """
    path = out / run_files.BEST
    return best["split"] == "validation" and path.exists() and read_metadata(path).get(SCORE) == repr(best["score"])


def measure_best(plan: Plan, out: Path, precision: Precision) -> dict[str, float]:
    """The scores of the best epoch's student on the test images; the student itself stays as it is."""
    student = plan.assembled
    last = {name: value.clone() for name, value in student.state_dict().items()}
    try:
        student.load_state_dict(load_file(out / run_files.BEST))
        return scores_on(plan.task, student, plan.data.test, plan.data, precision)
    finally:
        student.load_state_dict(last)
