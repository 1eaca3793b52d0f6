"""How memory is kept between steps, and what is said where it does not suffice."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from typing import Any

import torch

from understudy.spec import RunFailedError

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let this process reuse large freed blocks instead of handing them back to the system.

    Without it, glibc maps and clears every feature map anew at every step, a third of the time on a processor.
    Does nothing where the C library is not glibc.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        # No block has a mapping of its own. A high M_MMAP_THRESHOLD would say so too, but older versions refuse one
        # above 32 MiB, and the next line would then hold it at 128 KiB.
        mallopt(M_MMAP_MAX, 0)
        # Never: a step of a large network frees more than any threshold that fits the argument, an int.
        mallopt(M_TRIM_THRESHOLD, -1)


@contextlib.contextmanager
def memory_handed_back() -> Iterator[None]:
    """A stretch after which the system has what is free: a program of the user's goes on with other things."""
    try:
        yield
    finally:
        malloc_trim = _of_glibc("malloc_trim")
        if malloc_trim is not None:
            malloc_trim(0)


def _of_glibc(name: str) -> Any:
    """The C library's function, None where it is not glibc."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None


class TooLargeError(RunFailedError):
    """The run wanted more memory than there is."""


@contextlib.contextmanager
def told_when_full(batch_size: int | None = None) -> Iterator[None]:
    """A stretch of a run in which exhausted memory ends in a TooLargeError with what can be done.

    Without a batch size nothing is trained: what is measured has batches of its own.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_of_memory(error):
            raise
        reason = next(iter(str(error).splitlines()), "")
        if batch_size is None:
            raise TooLargeError(
                f"out of memory{reason and f' ({reason})'}; take smaller images (data.size), or a device with more"
            ) from error
        raise TooLargeError(
            f"out of memory{reason and f' ({reason})'} in a run with batches of {batch_size} images; `understudy "
            "doctor` with the same options says which batch fits, and another --batch-size is a run in another folder"
        ) from error


def _is_of_memory(error: Exception) -> bool:
    # On a processor torch has no class of its own for it, nor for what CUDA's libraries say.
    said = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(one in str(error) for one in said)
