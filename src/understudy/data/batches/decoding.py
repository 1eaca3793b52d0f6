"""Worker processes that decode and crop batches of images ahead of time."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import sys
import warnings
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from understudy.data.crops import Crops
from understudy.data.image_files import ImageFiles
from understudy.data.seeds import seed_of
from understudy.processes import sharing_here
from understudy.spec import RunFailedError

# A batch of the set: the images' indices, and the words from which what is drawn for each of them follows; None for
# the middle of the images. An index of N more is the same image of the N, for which something else is drawn.
Key = tuple[Tensor, str | None]

MOST_WORKERS = 16
AHEAD = 2  # batches that each process has decoded before they are asked for
CHANNELS = 3
SHARED_MEMORY = Path("/dev/shm")


def usable_cores() -> int:
    """How many this process may use, of those the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """One process for each core but one, 16 at most; 0 on a single core: images are then decoded in this process.

    Of several processes of torchrun each has its share of the machine's cores.
    """
    return min(max(0, usable_cores() // sharing_here() - 1), MOST_WORKERS)


class Decoding:
    """Batches as `decoder[key]` makes them, in pinned memory with `pin`.

    What it answers in words instead is a ValueError. `workers` processes start with the first batch and stay until
    `close`; 0 decodes in this process. They change no bit. One `read` at a time: an earlier one that is taken up
    again is a RuntimeError.
    """

    def __init__(self, decoder: Any, *, workers: int, pin: bool):
        self._decoder = decoder
        self._workers = workers
        self._pin = pin
        self._keys: list[Key] = []
        self._turn = 0
        self._loader: Any = None
        self._at_exit = functools.partial(_close, weakref.ref(self))

    def read(self, keys: Sequence[Key]) -> Iterator[Any]:
        """The batches in this order. ValueError that names an image that cannot be decoded."""
        self._turn += 1
        turn = self._turn
        self._keys[:] = keys
        if self._loader is None:
            self._loader = self._started(max((len(indices) for indices, _ in keys), default=0))
            # A program that ends without `close` would wait for ever: multiprocessing ends what is left with a signal,
            # and the processes leave the first one to the run.
            atexit.register(self._at_exit)
        with told_of_ended_workers(ConnectionError, EOFError):
            for found in self._loader:
                yield _checked(found)
                if turn != self._turn:
                    raise RuntimeError("these images are no longer decoded: another epoch was begun since")

    def one(self, key: Key) -> Any:
        """A single batch, decoded in this process; a `read` goes on undisturbed."""
        return _checked(self._decoder[key])

    def close(self) -> None:
        """The processes end; the next `read` would start others."""
        atexit.unregister(self._at_exit)
        self._turn += 1
        loader, self._loader = self._loader, None
        if loader is not None and loader._iterator is not None and self._workers:
            # torch has no other name for it; without, they would end with the last reference to the loader.
            loader._iterator._shutdown_workers()

    def _started(self, batch_size: int) -> Any:
        """torch's loader; its processes start when it is asked first."""
        self._workers = _fitting(self._workers, batch_size * CHANNELS * self._decoder.side**2)
        return DataLoader(
            self._decoder,
            batch_size=None,  # a key is a whole batch
            sampler=self._keys,
            num_workers=self._workers,
            prefetch_factor=AHEAD if self._workers else None,
            persistent_workers=self._workers > 0,
            pin_memory=self._pin,
            worker_init_fn=_leave_signals_to_the_run,
            # Python 3.14 no longer does that by itself: each process would import the user's program anew.
            multiprocessing_context="fork" if self._workers and sys.platform == "linux" else None,
            # Otherwise every epoch draws a number from torch's own generator, which a run that goes on would notice.
            generator=torch.Generator(),
        )


def _fitting(workers: int, batch_bytes: int) -> int:
    """As many processes as have room for their batches in the memory through which they hand them over.

    A container has 64 MiB of it where nobody says more; without room a process would wait for ever, or be ended.
    """
    if not workers or not SHARED_MEMORY.is_dir():
        return workers
    free = shutil.disk_usage(SHARED_MEMORY).free // sharing_here()
    # Two ahead for each process, and those that are looked at and copied.
    fitting = max(0, min(workers, (free // max(1, batch_bytes) - 3) // AHEAD))
    if fitting < workers:
        warnings.warn(
            f"{fitting} of {workers} worker processes decode images: {SHARED_MEMORY} has {free / 2**20:,.0f} MiB for "
            f"batches of {batch_bytes / 2**20:,.0f} MiB (docker run --shm-size=8g gives a container more)",
            stacklevel=2,
        )
    return fitting


@contextlib.contextmanager
def told_of_ended_workers(*others: type[Exception]) -> Iterator[None]:
    """A RunFailedError where a process that decodes was ended from outside; `others` are signs of that here."""
    try:
        yield
    except (RuntimeError, *others) as error:
        if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
            raise
        raise RunFailedError(
            f"a process that decodes images was ended, most likely for want of memory ({error}); with fewer "
            f"(data.workers=2) or none (data.workers=0) the same run goes on"
        ) from error


def _close(decoding: "weakref.ref[Decoding]") -> None:
    found = decoding()
    if found is not None:
        found.close()


class CropDecoder:
    """What a process does for a key: the images of `files` as `crops` makes them, (B, 3, size, size) in uint8."""

    def __init__(self, files: ImageFiles, crops: Crops):
        crops.prepare()
        self.files = files
        self.crops = crops
        self.side = crops.size

    def __getitem__(self, key: Key) -> Tensor | str:
        """The batch, or what is wrong: an exception would come back with the process's traceback in its message."""
        indices, drawn = key
        found = []
        for index in indices.tolist():
            try:
                image = self.files.read(index % len(self.files))
                found.append(
                    self.crops.middle(image)
                    if drawn is None
                    else self.crops.random(image, seed_of(drawn, "image", index))
                )
            except ValueError as error:
                return str(error)
            except OSError as error:
                return f"{self.files.name(index % len(self.files))} cannot be read ({error})"
        return torch.stack(found)


def _checked(found: Any) -> Any:
    if isinstance(found, str):
        raise ValueError(found)
    return found


def _leave_signals_to_the_run(worker: int) -> None:
    """A signal to the whole group asks the run to stop, and the run ends its workers; a second one acts as usual."""

    def ignore_once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, ignore_once)
