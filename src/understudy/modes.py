"""The modes in which networks are asked, and how they are left."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """A stretch in which the networks are in evaluation mode; every module is then put back into the mode it was in.

    Module by module: what rests in a network that trains, as frozen BatchNorms do, goes on resting.
    """
    modes = [(module, module.training) for network in networks for module in network.modules()]
    try:
        for network in networks:
            network.eval()
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


@contextmanager
def running_statistics(network: nn.Module) -> Iterator[None]:
    """The network's BatchNorms as in evaluation mode, the rest of it in the mode that it is in."""
    norms = [module for module in network.modules() if isinstance(module, BATCH_NORMS) and module.training]
    for module in norms:
        module.eval()
    try:
        yield
    finally:
        for module in norms:
            module.train()


def tensors_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """The network's state without what modules keep in other forms (`get_extra_state`)."""
    return {name: value for name, value in network.state_dict().items() if isinstance(value, torch.Tensor)}


@contextmanager
def own_draws() -> Iterator[None]:
    """A stretch after which Python's and numpy's generators are where they were: the caller's program draws on."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """A stretch after which the network's buffers and the random states are what they were."""
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    devices = {buffer.device for _, _, buffer, _ in buffers if buffer.is_cuda}
    try:
        with torch.random.fork_rng(devices), own_draws():
            yield
    finally:
        with torch.no_grad():
            for module, name, buffer, before in buffers:
                # A forward may have put another tensor in its place.
                setattr(module, name, buffer.copy_(before))


def set_teacher_mode(teacher: nn.Module, mode: str) -> None:
    """Put a teacher into one of its three modes.

    `eval` uses the running statistics, `batch` the batch's own and leaves the buffers as they are, `train` the batch's
    own and moves the buffers (for exact replication of programs that left it so).
    """
    teacher.train(mode == "train")
    for module in teacher.modules():
        if isinstance(module, BATCH_NORMS) and module.running_mean is not None:
            module.training = mode != "eval"
            # A BatchNorm in training that does not track neither reads nor moves its buffers.
            module.track_running_stats = mode != "batch"
