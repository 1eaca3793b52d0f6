"""Worker processes that decode and crop batches of images ahead of time."""

import atexit
import functools
import os
import signal
import weakref
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from understudy.data.crops import Crops
from understudy.data.image_files import ImageFiles
from understudy.data.seeds import seed_of
from understudy.processes import processes_here

# A batch of the set: the images' indices, and the words from which what is drawn for each of them follows; None for
# the middle of the images. An index of N more is the same image of the N, for which something else is drawn.
Key = tuple[Tensor, str | None]

MOST_WORKERS = 16


def usable_cores() -> int:
    """How many this process may use, of those the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """One process for each core but one, 16 at most; 0 on a single core: images are then decoded in this process.

    Of several processes of torchrun each has its share of the machine's cores.
    """
    return min(max(0, usable_cores() // processes_here() - 1), MOST_WORKERS)


class Decoding:
    """Batches as `decoder[key]` makes them, in pinned memory with `pin`.

    What it answers in words instead is a ValueError. `workers` processes start with the first batch and stay until
    `close`; 0 decodes in this process. They change no bit. One `read` at a time: an earlier one that is taken up
    again is a RuntimeError.
    """

    def __init__(self, decoder: Any, *, workers: int, pin: bool):
        self._decoder = decoder
        self._keys: list[Key] = []
        self._turn = 0
        self._loader: Any = DataLoader(
            self._decoder,
            batch_size=None,  # a key is a whole batch
            sampler=self._keys,
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            persistent_workers=workers > 0,
            pin_memory=pin,
            worker_init_fn=_leave_signals_to_the_run,
            # Otherwise every epoch draws a number from torch's own generator, which a run that goes on would notice.
            generator=torch.Generator(),
        )
        self._at_exit = functools.partial(_close, weakref.ref(self))

    def read(self, keys: Sequence[Key]) -> Iterator[Any]:
        """The batches in this order. ValueError that names an image that cannot be decoded."""
        self._turn += 1
        turn = self._turn
        self._keys[:] = keys
        if self._loader._iterator is None:
            # A program that ends without `close` would wait for ever: multiprocessing ends what is left with a signal,
            # and the processes leave the first one to the run.
            atexit.register(self._at_exit)
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
        processes, self._loader._iterator = self._loader._iterator, None
        if processes is not None:
            # torch has no other name for it; without, they would end with the last reference to the loader.
            processes._shutdown_workers()


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
