"""One planned run as plain data, and the function that carries it out, in this process or in another."""

import contextlib
import json
import os
import platform
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TextIO

from filelock import FileLock, Timeout
from rich.console import Console

from understudy.data import Dataset
from understudy.engine import execute, facts
from understudy.engine.display import Display
from understudy.engine.loop import StoppedError
from understudy.engine.plan import load_data
from understudy.engine.records.folder import BusyError, write_json
from understudy.engine.records.record import NotFiniteError
from understudy.reproduce.quick import few_images
from understudy.spec import Settings, read_object, read_settings


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run's settings (dotted keys) and folder; paths are relative to `place`. `until` is a time of `time.time()`."""

    settings: Mapping[str, object]
    folder: Path
    place: Path
    until: float | None = None
    is_quick: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt at a run ended; `busy` where another process holds the run."""

    kind: Literal["done", "busy", "stopped", "failed"]
    reason: str = ""


def carry_out(job: Job, console: Console | None = None) -> Outcome:
    """Carry the run out, or go on with it, unless another process does; what it says goes to its log without a console.

    Nothing but being interrupted is raised: a failure is an outcome, with its traceback in the log.
    """
    with contextlib.chdir(job.place), _claimed(job.folder) as is_ours:
        if not is_ours:
            return Outcome(kind="busy")
        with log_of(job.folder).open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} process {os.getpid()} on {platform.node()}\n")
            log.flush()
            return _attempt(job, Display(console or Console(file=log, width=120)), log)


def log_of(folder: Path) -> Path:
    """The file beside a run's folder that says who carried it out, and how that failed."""
    return folder.with_name(f"{folder.name}.log")


def failed_before(folder: Path) -> str:
    """How the run's loss became infinite the last time, by this very code; empty where it did not."""
    note = note_of(folder)
    if not note.exists():
        return ""
    found = read_object(note, "reason", "sources")
    again = f"as before; remove {note} to try it again"
    return f"{found['reason']} ({again})" if found["sources"] == facts.versions()[facts.SOURCES] else ""


def note_of(folder: Path) -> Path:
    """The file beside a run's folder that is there once its loss became infinite: the same steps would end alike."""
    return folder.with_name(f"{folder.name}.failed.json")


def _attempt(job: Job, display: Display, log: TextIO) -> Outcome:
    try:
        settings = read_settings(options=job.settings)
        data = few_images(settings.data) if job.is_quick else _kept_in_memory(settings)
        execute(settings, job.folder, data=data, display=display, until=job.until)
    except StoppedError as stop:
        return Outcome(kind="stopped", reason=str(stop))
    except BusyError as error:
        return Outcome(kind="busy", reason=str(error))
    except Exception as error:
        traceback.print_exc(file=log)
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, NotFiniteError):
            write_json(note_of(job.folder), {"reason": reason, "sources": facts.versions()[facts.SOURCES]})
        return Outcome(kind="failed", reason=reason)
    note_of(job.folder).unlink(missing_ok=True)
    return Outcome(kind="done")


# The last set that a run of this process held in memory, by what it was asked for: the next run most likely has it too,
# and decoding it takes longer than an epoch on a fast device.
_last_data: dict[str, Dataset] = {}


def _kept_in_memory(settings: Settings) -> Dataset | None:
    """The run's data; None where the run is to read them itself."""
    wanted = json.dumps([settings.data.model_dump(mode="json"), settings.run.seed, settings.task], sort_keys=True)
    if settings.detection is not None:
        return None
    if wanted not in _last_data:
        _last_data.clear()
        data = load_data(settings)
        if not data.in_memory:
            return data
        _last_data[wanted] = data
    return _last_data[wanted]


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Whether the run is this process's own while in the block.

    The claim is a lock of the operating system, which frees it when its holder dies, however that happens.
    """
    place = folder.parent / ".claims"
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / f"{folder.name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
