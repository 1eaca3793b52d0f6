"""Networks asked in evaluation mode, and left as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


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
