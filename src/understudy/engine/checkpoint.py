"""A run's state on disk: whole or absent."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

FILE = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's checkpoint; a kill at any moment leaves the old one or the new one."""
    partial = folder / f"{FILE}.partial"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, folder / FILE)


def load(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """The folder's checkpoint, or None where there is none. Plain tensors and numbers only; no pickle is run."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} cannot be read ({error}); remove it to start this run again") from error


def random_state() -> dict[str, Any]:
    """The generators that a network's own layers (dropout, ...) draw from."""
    cuda = [state.clone() for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state().clone(), "cuda": cuda}


def restore_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"].cpu().clone())
    if state["cuda"]:
        torch.cuda.set_rng_state_all([own.cpu().clone() for own in state["cuda"]])
