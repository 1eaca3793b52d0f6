"""Who is who among several runs: which are teachers of others, and what each is called in a chart."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .run_folder import Run

LONGEST_LABEL = 24


def teachers_among(runs: Sequence[Run]) -> list[Run]:
    """The runs whose student is the teacher of another one here."""
    return [run for run in runs if any(taught(run, other) for other in runs)]


def taught(run: Run, other: Run) -> bool:
    """Whether `run` made the teacher of `other`: known by its fingerprint, or else by its folder."""
    teacher = other.facts["teacher"]
    if not teacher:
        return False
    summary = run.summary or {}
    fingerprints = {summary.get("student_sha256"), (summary.get("best") or {}).get("sha256")} - {None}
    # Several teachers have one fingerprint together.
    files = str(teacher.get("weights") or "").split(" + ")
    if fingerprints and teacher.get("sha256") and len(files) == 1:
        return teacher["sha256"] in fingerprints
    return any(file and run.folder.resolve() in Path(file).resolve().parents for file in files)


def labels(runs: Sequence[Run]) -> list[str]:
    """One short name per run, all different: its name, with the epochs or the folder where names repeat."""
    plain = [_label(run) for run in runs]
    epochs = [f"{label}, {epochs_text(run)} epochs" for label, run in zip(plain, runs, strict=True)]
    folders = [f"{label}, {run.folder.name}" for label, run in zip(epochs, runs, strict=True)]
    numbered = [f"{label} ({number})" for number, label in enumerate(folders, 1)]
    return [_first_unique(at, (plain, epochs, folders, numbered)) for at in range(len(runs))]


def _first_unique(at: int, attempts: Sequence[list[str]]) -> str:
    return next((names[at] for names in attempts if Counter(names)[names[at]] == 1), attempts[-1][at])


def _label(run: Run) -> str:
    """The run's own name; the method's title where the run was only named after its method."""
    name, title = run.facts["name"], method_title(run)
    return title if name == run.facts["method"]["name"] and len(title) <= LONGEST_LABEL else name


def method_title(run: Run) -> str:
    method = run.facts["method"]
    return method.get("title") or method["name"]


def epochs_text(run: Run) -> str:
    """Epochs of each phase: "1+5"."""
    return "+".join(f"{phase['epochs']:g}" for phase in run.phases)
