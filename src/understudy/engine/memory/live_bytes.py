"""How much memory a piece of work takes at its peak, counted tensor by tensor."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """What the work takes at its worst moment beyond what lay there before, in bytes.

    Of CUDA its allocator's own count; elsewhere the storages that operators return, while they live. What a kernel
    takes and frees within one operator is not in that.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with LiveBytes() as live:
        work()
    return live.peak


class LiveBytes(TorchDispatchMode):
    """Counts, while it is entered, the storages that operators return: `now` alive, `peak` at most so far."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # What goes in was there before; only what comes out in a storage of its own is new.
        old = {_key(one) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        output = func(*args, **(kwargs or {}))
        for one in tree_leaves(output):
            if isinstance(one, Tensor) and _key(one) not in old | self._seen:
                self._begin(one.untyped_storage())
        return output

    def _begin(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._end, key, size)

    def _end(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
