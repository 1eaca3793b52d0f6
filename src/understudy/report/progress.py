"""How far a run has come: its result where it has finished, the same from its log where it has not."""

from typing import Any

from .run_folder import Run


def result(run: Run) -> dict[str, Any]:
    """The summary; for an unfinished run what its epochs say so far, under the same keys."""
    return run.summary if run.summary else _so_far(run)


def progress_text(run: Run) -> str:
    """Empty for a finished run, otherwise "unfinished, 1 of 6 epochs"."""
    return "" if run.summary else f"unfinished, {run.num_epochs_done:g} of {run.num_epochs:g} epochs"


def teacher_accuracy(run: Run) -> float | None:
    """The teacher's own accuracy in per cent, as measured at the end or else before training."""
    at_end = (run.summary or {}).get("teacher_accuracy_pct")
    return (run.facts["teacher"] or {}).get("accuracy_pct") if at_end is None else at_end


def measured_accuracy(run: Run) -> tuple[str | None, list[tuple[int, float]]]:
    """The split on which this run is judged, and (epoch, accuracy in per cent) wherever it was measured."""
    measured = [(record["epoch"], record["accuracy"]) for record in run.epochs if record.get("accuracy")]
    splits = {name for _, accuracy in measured for name in accuracy if accuracy[name]}
    stated = (run.summary or {}).get("split")
    split = stated or next((name for name in ("test", "validation") if name in splits), None)
    return split, [(epoch, found[split]["accuracy_pct"]) for epoch, found in measured if found.get(split)]


def _so_far(run: Run) -> dict[str, Any]:
    split, curve = measured_accuracy(run)
    best_epoch, best_pct = max(curve, key=lambda point: point[1], default=(None, None))
    last_pct = curve[-1][1] if curve else None
    agreements = [record["agreement"] for record in run.epochs if record.get("agreement")]
    return {
        "split": split,
        "accuracy_pct": last_pct,
        "error_pct": None if last_pct is None else 100.0 - last_pct,
        "best": {"accuracy_pct": best_pct, "epoch": best_epoch},
        "agreement": agreements[-1] if agreements else None,
        "wall_s": sum(record["train_s"] for record in run.epochs) if run.epochs else None,
        "phases": _phases_so_far(run),
    }


def _phases_so_far(run: Run) -> list[dict[str, Any]]:
    phases = []
    for name in dict.fromkeys(record["phase"] for record in run.epochs):
        records = [record for record in run.epochs if record["phase"] == name]
        train_s = sum(record["train_s"] for record in records)
        images = sum(record["train_s"] * record["images_per_s"] for record in records)
        phase = {"name": name, "epochs": len(records), "train_s": train_s, "images": round(images)}
        phases.append({**phase, "images_per_s": images / train_s if train_s else None})
    return phases
