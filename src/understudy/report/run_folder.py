"""A run folder, read from disk; `spec.run_files` says what is in it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from understudy.spec import did_you_mean, expanded, read_object
from understudy.spec.run_files import FACTS, LOG, MAY_DIFFER, RECORDS, SETTINGS, SUMMARY

EXPECTED = f"{FACTS}, {LOG}, {SETTINGS} and, once finished, {SUMMARY}"
NEEDED = ("task", "name", "headline", "method", "student", "teacher", "data")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as its folder tells it. `summary` is None while the run is unfinished."""

    folder: Path
    facts: dict[str, Any]
    settings: str
    steps: tuple[dict[str, Any], ...]
    epochs: tuple[dict[str, Any], ...]
    gradients: tuple[dict[str, Any], ...]
    weights: tuple[dict[str, Any], ...]
    selections: tuple[dict[str, Any], ...]
    summary: dict[str, Any] | None

    @property
    def headline(self) -> str:
        """The score that the run is compared by."""
        return self.facts["headline"]["name"]

    @cached_property
    def recipe(self) -> str:
        """What decides the outcome beside the seed: settings, teacher, images, numbers; empty if none can be read."""
        try:
            settings = yaml.safe_load(self.settings)
        except yaml.YAMLError:
            return ""
        if not isinstance(settings, dict):
            return ""
        deciding = dict(settings)
        for key in ("run.seed", *MAY_DIFFER):
            section, _, name = key.partition(".")
            if isinstance(deciding.get(section), dict):
                deciding[section] = {own: value for own, value in deciding[section].items() if own != name}
        teacher, data = (self.facts["teacher"] or {}).get("sha256"), self.facts["data"].get("sha256")
        dtype = (self.facts.get("precision") or {}).get("dtype")
        return json.dumps([deciding, teacher, data, dtype], sort_keys=True, default=str)

    @property
    def phases(self) -> list[dict[str, Any]]:
        return self.facts["method"]["phases"]

    @property
    def num_epochs(self) -> int:
        """Epochs asked for, over all phases."""
        return sum(phase["epochs"] for phase in self.phases)

    @property
    def num_epochs_done(self) -> int:
        return self.epochs[-1]["epoch"] if self.epochs else 0

    @property
    def steps_per_epoch(self) -> float:
        """Steps in one epoch: as seen if an epoch has ended, otherwise as planned."""
        if self.epochs:
            return self.epochs[0]["step"] / self.epochs[0]["epoch"]
        planned = sum(phase["steps"] for phase in self.phases)
        return max(planned, 1) / max(self.num_epochs, 1)


def read_runs(folders: Sequence[str | Path]) -> tuple[list[Run], list[Path]]:
    """The runs among these folders, and what is none, as a pattern such as runs/* has it beside them.

    ValueError where there is no run at all, or a file of one is broken, and for a folder that does not exist, which no
    pattern has named.
    """
    paths = [expanded(folder) for folder in folders]
    for path in paths:
        if not path.exists():
            raise ValueError(_no_run_here(path))
    of_runs = [path for path in paths if (path / FACTS).is_file()]
    found = [read_run(path) for path in of_runs or paths[:1]]
    return found, [path for path in paths if path not in of_runs]


def read_run(folder: str | Path) -> Run:
    """The run in `folder`, finished or not. ValueError if it is no run folder or a file in it is broken."""
    folder = expanded(folder)
    if not (folder / FACTS).is_file():
        raise ValueError(_no_run_here(folder))
    facts = read_object(folder / FACTS, *NEEDED)
    settings, summary = folder / SETTINGS, folder / SUMMARY
    records = [*_read_records(folder / LOG)]
    return Run(
        folder=folder,
        facts=facts,
        settings=settings.read_text(encoding="utf-8") if settings.is_file() else "",
        steps=tuple(record for record in records if record["kind"] == "steps"),
        epochs=tuple(record for record in records if record["kind"] == "epoch"),
        gradients=tuple(record for record in records if record["kind"] == "gradients"),
        weights=tuple(record for record in records if record["kind"] == "weights"),
        selections=tuple(record for record in records if record["kind"] == "selection"),
        summary=read_object(summary, "scores", "headline") if summary.is_file() else None,
    )


def _no_run_here(folder: Path) -> str:
    """What was found instead of a run, and the run folders next to it."""
    if folder.is_dir():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "an empty folder"
    else:
        found = "no such folder" if not folder.exists() else "a file"
    return f"{folder} is not a run folder: found {found}; expected {EXPECTED}{did_you_mean(folder)}"


def _read_records(path: Path) -> list[dict[str, Any]]:
    """The records in order. A last line without its line end belongs to a run killed while writing it."""
    if not path.is_file():
        return []
    *whole, last = path.read_text(encoding="utf-8", errors="replace").split("\n")
    records = [_record(line, path, number) for number, line in enumerate(whole, 1) if line.strip()]
    if last.strip() and _is_json(last):
        records.append(_record(last, path, len(whole) + 1))
    return records


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except json.JSONDecodeError:
        return False
    return True


def _record(line: str, path: Path, number: int) -> dict[str, Any]:
    where = f"{path}, line {number}"
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error.msg}): {line[:60]!r}") from error
    if not isinstance(record, dict) or record.get("kind") not in RECORDS:
        raise ValueError(f"{where}: found {line[:60]!r}; expected an object of kind {', '.join(RECORDS)}")
    return record
