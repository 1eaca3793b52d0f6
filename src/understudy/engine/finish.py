"""The end of a run: the student is measured in float32 and written, and the summary says what came out."""

import statistics
from pathlib import Path
from typing import Any

from understudy.engine import facts
from understudy.engine.best import best_epoch, is_kept, measure_best, write_student
from understudy.engine.measure.agreement import Agreement
from understudy.engine.measure.scores import scores_on
from understudy.engine.measure.training import agree
from understudy.engine.plan import Plan
from understudy.engine.records import folder
from understudy.engine.records.record import read_lines
from understudy.engine.records.state import Place
from understudy.precision import Precision
from understudy.spec import run_files


def finish(
    out: Path,
    plan: Plan,
    precision: Precision,
    place: Place,
    run_facts: dict[str, Any],
    agreement: Agreement | None,
) -> dict[str, Any]:
    """Measure the student in float32, write it and the summary; the summary."""
    exact = precision.exact()
    data, student = plan.data, plan.assembled
    # Before anything is measured: what was learnt is not lost to a measurement that fails.
    write_student(plan, out / run_files.STUDENT)
    scores = scores_on(plan.task, student, data.test, data, exact)
    plan.task.draw(student, data, exact, out)
    lines = read_lines(out)
    summary = {
        "scores": scores,
        "validation_scores": scores_on(plan.task, student, data.validation, data, exact) if data.validation else None,
        "headline": plan.task.headline,
        "split": "test",
        "epoch": sum(phase["epochs"] for phase in run_facts["method"]["phases"]),
        "best": _best(plan, out, exact),
        "teacher_scores": run_facts["teacher"]["scores"] if run_facts["teacher"] else None,
        "parameters": run_facts["student"]["parameters"],
        "multiply_adds": run_facts["student"]["multiply_adds"],
        "agreement": agree(agreement, data.test, data, exact),
        "selection": _selection(lines),
        "wall_s": round(place.wall_s, 1),
        "phases": [
            _phase_speed(phase, spent, lines)
            for phase, spent in zip(run_facts["method"]["phases"], place.phase_train_s, strict=True)
        ],
        "student_sha256": facts.sha256(out / run_files.STUDENT),
    }
    folder.write_json(out / run_files.SUMMARY, summary)
    return summary


def _best(plan: Plan, out: Path, exact: Precision) -> dict[str, Any] | None:
    """The best epoch of the curve, on which images it is the best, and what its student comes to on the test images."""
    best = best_epoch(out, plan.task)
    if best is None or not is_kept(out, best):
        return best
    sha256 = facts.sha256(out / run_files.BEST)
    return {**best, "test_scores": measure_best(plan, out, exact), "sha256": sha256}


def _selection(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]] | None:
    """Term -> how many images it looks at, and what is wrong with the others; None for methods that take all."""
    found = [line for line in lines if line["kind"] == "selection"]
    return {line["term"]: {key: line[key] for key in line if key not in ("kind", "term")} for line in found} or None


def _phase_speed(phase: dict[str, Any], train_s: float, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Time of a phase, and its images/s as the median over its log lines, so that compiling does not count.

    `compile_s` is the part of the time that its first steps took, one for each process; None where nothing is compiled.
    """
    speeds = [line["images_per_s"] for line in lines if line["kind"] == "steps" and line["phase"] == phase["name"]]
    compiled = [line["compile_s"] for line in lines if line["kind"] == "compile" and line["phase"] == phase["name"]]
    return {
        "name": phase["name"],
        "epochs": phase["epochs"],
        "train_s": round(train_s, 1),
        "compile_s": round(sum(compiled), 1) if compiled else None,
        "images": phase["images"],
        "images_per_s": statistics.median_high(speeds) if speeds else None,
    }
