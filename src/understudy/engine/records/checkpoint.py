"""A run's state on disk: whole or absent."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.processes import of_each, own_of
from understudy.spec import whole_file

FILE = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's checkpoint; a kill at any moment leaves the old one or the new one."""
    with whole_file(folder / FILE) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # torch ends its archive on a full disk too, and says of that alone that it went wrong.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint on the processor, or None where there is none. No pickle is run.

    Raises ValueError for a file that is broken, and OSError or MemoryError for one that could be read another time.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a broken file may end the reading in any way
        raise ValueError(f"{path} cannot be read ({error}); remove it to start this run again") from error
    if not isinstance(found, dict) or "place" not in found:
        raise ValueError(f"{path} is no checkpoint of a run; remove it to start this run again")
    return found


def seed_everything(seed: int) -> None:
    """The generators that layers and what builds them draw from: torch's, Python's and numpy's."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextlib.contextmanager
def own_draws() -> Iterator[None]:
    """A stretch after which Python's and numpy's generators are where they were: the caller's program draws on."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def random_state(device: torch.device) -> list[dict[str, Any]]:
    """The generators that a network's own layers (dropout, ...) draw from, for each process those of its device."""
    cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    # As plain numbers, which are read without running a pickle.
    kind, keys, *rest = np.random.get_state(legacy=True)
    numpy = [kind, np.asarray(keys).tolist(), *rest]
    return of_each({"cpu": torch.get_rng_state().clone(), "cuda": cuda, "python": random.getstate(), "numpy": numpy})


def restore_random_state(state: list[dict[str, Any]] | dict[str, Any], device: torch.device) -> None:
    # A checkpoint from before there was one for each process has one.
    own = own_of(state if isinstance(state, list) else [state])
    torch.set_rng_state(own["cpu"].cpu().clone())
    if "python" in own:
        random.setstate(own["python"])
        kind, keys, *rest = own["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    if own["cuda"] and device.type == "cuda":
        torch.cuda.set_rng_state(own["cuda"][0].cpu().clone(), device)
