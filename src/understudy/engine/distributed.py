"""One run in several processes, which torchrun starts: each learns from its part of every batch.

All of them go through the whole run and come to the same weights. The first one's folder is the run's; the others have
one of their own, which is forgotten.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from understudy.processes import is_first, num_processes, wait_for_all
from understudy.tasks import Task


@contextlib.contextmanager
def own_folder(out: Path) -> Iterator[Path]:
    """Where this process writes: the run's folder, or a copy of it that is removed at the end."""
    if is_first():
        wait_for_all()  # until the others have their copies
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="understudy-") as scratch:
        for file in out.iterdir() if out.is_dir() else ():
            if file.is_file():
                shutil.copy(file, scratch)
        wait_for_all()
        yield Path(scratch)


def check_processes(task: Task, batch_size: int) -> str | None:
    """What several processes make of a batch, in words; None for one process.

    Raises ValueError where their parts together would not be the batch.
    """
    count = num_processes()
    if count == 1:
        return None
    if task.tied:
        raise ValueError(
            f"{task.tied} are no mean over images, so {count} processes would learn otherwise than one; use one"
        )
    if batch_size % count:
        raise ValueError(
            f"{count} processes cannot share a batch of {batch_size} images; give a multiple of {count} as batch_size"
        )
    return (
        f"{count} processes with {batch_size // count} images of each batch; a BatchNorm sees those of its process; "
        f"docs/processes.md has what else is its own (mixup, dropout, margins of OFD without BatchNorm)"
    )
