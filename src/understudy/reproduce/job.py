"""One planned run as plain data, and the function that carries it out, in this process or in another."""

import contextlib
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

from understudy.engine import execute
from understudy.engine.display import Display
from understudy.engine.folder import BusyError
from understudy.engine.loop import StoppedError
from understudy.reproduce.quick import few_images
from understudy.spec import read_settings


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


def _attempt(job: Job, display: Display, log: TextIO) -> Outcome:
    try:
        settings = read_settings(options=job.settings)
        data = few_images(settings.data) if job.is_quick else None
        execute(settings, job.folder, data=data, display=display, until=job.until)
    except StoppedError as stop:
        return Outcome(kind="stopped", reason=str(stop))
    except BusyError as error:
        return Outcome(kind="busy", reason=str(error))
    except Exception as error:
        traceback.print_exc(file=log)
        return Outcome(kind="failed", reason=f"{type(error).__name__}: {error}")
    return Outcome(kind="done")


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
