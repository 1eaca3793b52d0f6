"""Several processes with a share of each batch: what they have to exchange to learn as one would.

Everything here is the identity in a single process.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def num_processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def of_all_processes(values: Tensor) -> Tensor:
    """The images of all processes, one process after the other: (B, ...) -> (processes * B, ...), with gradients.

    For losses that compare images with each other. Backward adds what all processes want of the own images; averaged
    over processes, as DistributedDataParallel does, that is the gradient of the loss of the whole batch.
    """
    return values if num_processes() == 1 else _Gather.apply(values)


class _Gather(torch.autograd.Function):
    """All processes' tensors in the order of the processes; torch's own function for it is deprecated."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        gathered = [torch.empty_like(values, memory_format=torch.contiguous_format) for _ in range(num_processes())]
        dist.all_gather(gathered, values.contiguous())
        return torch.cat(gathered)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> Tensor:
        # A copy: autograd may hand the same tensor to others.
        wanted = outer[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(wanted)
        return wanted.chunk(num_processes())[dist.get_rank()]


def mean_over_processes(gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Each tensor averaged over the processes; those that are None must be None everywhere."""
    if num_processes() > 1:
        for gradient in gradients:
            if gradient is not None:
                dist.all_reduce(gradient)
                gradient /= num_processes()
    return list(gradients)
