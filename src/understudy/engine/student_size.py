"""A student of smaller images than its teacher's: the same views, scaled down on their way into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn

from understudy.ops import scaled


@contextmanager
def images_scaled(student: nn.Module, size: int | None) -> Iterator[None]:
    """A stretch of code in which the network scales the images it is given to size x size; None: it takes them as is.

    Batches stay as large as the data's images, for the teacher. A hook and no wrapper, so that the names of layers and
    weights are the network's own; at the end it is gone, and what is exported never had it. Gradients go through.
    """
    if size is None:
        yield
        return
    hook = student.register_forward_pre_hook(partial(_scale, size))
    vars(student)["size_seen"] = size, size  # read by `understudy.taps.size_seen`
    try:
        yield
    finally:
        del vars(student)["size_seen"]
        hook.remove()


def _scale(size: int, network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    return scaled(inputs[0], (size, size))
