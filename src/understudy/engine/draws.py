"""The generators that networks and their layers draw from: seeded, taken down, and put back."""

import random
from typing import Any

import numpy as np
import torch

from understudy.processes import of_each, own_of


def seed_everything(seed: int) -> None:
    """The generators that layers and what builds them draw from: torch's, Python's and numpy's."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def taken(device: torch.device) -> list[dict[str, Any]]:
    """The generators that a network's own layers (dropout, ...) draw from, for each process those of its device."""
    cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    # As plain numbers, which are read without running a pickle.
    kind, keys, *rest = np.random.get_state(legacy=True)
    numpy = [kind, np.asarray(keys).tolist(), *rest]
    return of_each({"cpu": torch.get_rng_state().clone(), "cuda": cuda, "python": random.getstate(), "numpy": numpy})


def put_back(state: list[dict[str, Any]] | dict[str, Any], device: torch.device) -> None:
    """What `taken` answered, of this process."""
    # A checkpoint from before there was one for each process has one.
    own = own_of(state if isinstance(state, list) else [state])
    torch.set_rng_state(own["cpu"].cpu().clone())
    if "python" in own:
        random.setstate(own["python"])
        kind, keys, *rest = own["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    if own["cuda"] and device.type == "cuda":
        torch.cuda.set_rng_state(own["cuda"][0].cpu().clone(), device)
