"""Several processes with a share of each batch: what they have to exchange to learn as one would.

Everything here is the identity in a single process.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def num_processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def of_all_processes(values: Tensor) -> Tensor:
    """The images of all processes, one process after the other: (B, ...) -> (processes * B, ...), with gradients.

    For losses that compare images with each other. Backward adds what all processes want of the own images; averaged
    over processes, as DistributedDataParallel does, that is the gradient of the loss of the whole batch.
    """
    if num_processes() == 1:
        return values
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(values.contiguous()))


def mean_over_processes(gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Each tensor averaged over the processes; those that are None must be None everywhere."""
    if num_processes() > 1:
        for gradient in gradients:
            if gradient is not None:
                dist.all_reduce(gradient)
                gradient /= num_processes()
    return list(gradients)
