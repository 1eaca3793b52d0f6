"""Several processes with a share of each batch: what they have to exchange to learn as one would.

Everything here is the identity in a single process.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Together with the processes that torchrun started beside this one; alone where it did not.

    Whoever has joined processes before is left to it.
    """
    if not is_launched() or dist.is_initialized():
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
        # Without a name torch would take the CUDA devices' alone, and numbers of the processor could not be exchanged.
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend)
    try:
        yield
    finally:
        dist.destroy_process_group()


def is_launched() -> bool:
    """Whether torchrun started this process."""
    return dist.is_available() and dist.is_torchelastic_launched()


def local_rank() -> int:
    """Which of this machine's processes it is, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if is_launched() else 0


def processes_here() -> int:
    """How many torchrun started on this machine; 1 where it did not."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_launched() else 1


# How many processes there are on this machine that know nothing of each other, this one among them.
_neighbours = 1


def share_machine(count: int) -> None:
    """Be one of so many processes of this machine, each with a run of its own."""
    global _neighbours
    _neighbours = count


def sharing_here() -> int:
    """Among how many processes this machine's cores and memory are divided."""
    return processes_here() * _neighbours


def num_processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes; alone it is."""
    return num_processes() == 1 or dist.get_rank() == 0


def wait_for_all() -> None:
    if num_processes() > 1:
        dist.barrier()


def own_part(size: int) -> slice:
    """Which of the `size` images of a batch are this process's: an equal share, one process after the other."""
    share = size // num_processes()
    first = share * dist.get_rank() if num_processes() > 1 else 0
    return slice(first, first + share)


def own_range(size: int) -> range:
    """Which of `size` images are this process's to measure: all are somebody's, the parts may differ by one."""
    rank = dist.get_rank() if num_processes() > 1 else 0
    return range(size * rank // num_processes(), size * (rank + 1) // num_processes())


def _device() -> torch.device:
    """Where what processes tell each other has to lie."""
    if "cpu:" in dist.get_backend_config():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def is_true_anywhere(here: bool) -> bool:
    """Whether it is true in any of the processes, in all of which it is asked."""
    if num_processes() == 1:
        return here
    answer = torch.tensor(float(here), device=_device())
    dist.all_reduce(answer, dist.ReduceOp.MAX)
    return bool(answer)


def of_each(mine: Any) -> list[Any]:
    """What each process has, the first one's first: plain values and tensors."""
    if num_processes() == 1:
        return [mine]
    found: list[Any] = [None] * num_processes()
    dist.all_gather_object(found, mine)
    return found


def own_of(each: Sequence[Any]) -> Any:
    """This process's part of what `of_each` answered; the first one's where there were fewer processes."""
    rank = dist.get_rank() if num_processes() > 1 else 0
    return each[rank if rank < len(each) else 0]


def mean_of_all(values: Tensor) -> Tensor:
    """The mean over the processes of tensors of one shape, without gradients."""
    if num_processes() > 1:
        values = values.clone()
        dist.all_reduce(values)
        values /= num_processes()
    return values


def share_of_all(count: int) -> float | Tensor:
    """By what a mean over `count` things of this process is multiplied, so that the mean over processes is that of all.

    The processes may have different numbers of them: 1 where they have as many, and in a single process.
    """
    if num_processes() == 1:
        return 1.0
    in_the_mean = mean_of_all(torch.tensor(count, dtype=torch.float64, device=_device()))
    # None at all: the mean of nothing is nobody's.
    return count / in_the_mean.clamp(min=1.0 / num_processes())


def mean_over_parts(means: Sequence[float], count: int) -> list[float]:
    """Of numbers that are means over this process's `count` images: those over the images of all processes."""
    if num_processes() == 1:
        return [*means]
    here = torch.tensor(means, dtype=torch.float64, device=_device())
    # What dividing and multiplying again has left in the last digits goes: 91.62 is not 91.62000000000002.
    return [round(mean, 10) for mean in mean_of_all(here * share_of_all(count)).tolist()]


@torch.no_grad()
def like_first(tensors: Iterable[Tensor]) -> None:
    """Give these the first process's values, where they are numbers with a point: parameters and statistics."""
    if num_processes() == 1:
        return
    for tensor in tensors:
        if tensor.is_floating_point():
            firsts = tensor.contiguous()
            dist.broadcast(firsts, 0)
            tensor.copy_(firsts)


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """The mean of each parameter's gradient over the processes: that of a batch is the mean of its parts'.

    Those without a gradient have none in any process. They travel together, for each journey costs. (torch's
    DistributedDataParallel wants to know once which parameters every step uses; here each phase trains others.)
    """
    if num_processes() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    means = mean_of_all(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, mean in zip(gradients, means.split([one.numel() for one in gradients]), strict=True):
        gradient.copy_(mean.view(gradient.shape))


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
    return [None if gradient is None else mean_of_all(gradient) for gradient in gradients]
