"""Seeds that share nothing with their neighbours, and torch's own generator set to one for a while."""

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def seed_of(*what: object) -> int:
    """64 bits of some words and numbers: neighbours share nothing, as sums of them would."""
    return int.from_bytes(hashlib.sha256(" ".join(map(str, what)).encode()).digest()[:8], "little")


@contextlib.contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Whatever draws from torch's generator on the processor draws from this seed; its state is put back at the end.

    torchvision's transforms take no generator. The devices' generators are not touched.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
