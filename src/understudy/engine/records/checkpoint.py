"""A run's state on disk: whole or absent."""

from pathlib import Path
from typing import Any

import torch

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
