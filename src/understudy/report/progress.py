"""How far a run has come: its result where it has finished, the same from its log where it has not."""

from collections.abc import Iterable
from typing import Any

from understudy.spec.scores import title

from .run_folder import Run


def result(run: Run) -> dict[str, Any]:
    """The summary; for an unfinished run what its epochs say so far, under the same keys."""
    return run.summary if run.summary else _so_far(run)


def progress_text(run: Run) -> str:
    """Empty for a finished run, otherwise "unfinished, 1 of 6 epochs"."""
    return "" if run.summary else f"unfinished, {run.num_epochs_done:g} of {run.num_epochs:g} epochs"


def teacher_score(run: Run) -> float | None:
    """What the teacher itself reaches of the run's headline."""
    return ((run.facts["teacher"] or {}).get("scores") or {}).get(run.headline)


def score_title(headlines: Iterable[str]) -> str:
    """The title of what runs are compared by, "score" where they differ in it."""
    names = set(headlines)
    return title(names.pop()) if len(names) == 1 else "score"


def measured_scores(run: Run) -> tuple[str | None, list[tuple[int, float]]]:
    """The split on which this run is judged, and (epoch, its headline) wherever it was measured."""
    measured = [(record["epoch"], record["scores"]) for record in run.epochs if record.get("scores")]
    splits = {name for _, scores in measured for name in scores if scores[name]}
    stated = (run.summary or {}).get("split")
    # The end is measured on the test images, epochs on held-out ones where there are any.
    split = next((name for name in (stated, "test", "validation") if name in splits), stated)
    return split, [(epoch, found[split][run.headline]) for epoch, found in measured if found.get(split)]


def _so_far(run: Run) -> dict[str, Any]:
    split, curve = measured_scores(run)
    best_epoch, best = max(curve, key=lambda point: point[1], default=(None, None))
    agreements = [record["agreement"] for record in run.epochs if record.get("agreement")]
    return {
        "split": split,
        "scores": {run.headline: curve[-1][1]} if curve else {},
        "best": {"score": best, "epoch": best_epoch},
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
