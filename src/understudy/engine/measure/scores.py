"""A network's numbers on images, for which several processes share the images where each number is a mean over them."""

from torch import nn

from understudy.data import Dataset, Images
from understudy.precision import Precision
from understudy.processes import like_first, mean_over_parts, num_processes, own_range
from understudy.tasks import Task


def scores_on(task: Task, network: nn.Module, images: Images, data: Dataset, precision: Precision) -> dict[str, float]:
    """What the task measures of the network on the images, by name; the same in all processes, all of which ask."""
    if num_processes() == 1 or not task.is_mean or len(images) < num_processes():
        return task.measure(network, images, data, precision)
    # It is the first process's statistics of BatchNorm that are kept.
    like_first(network.buffers())
    part = images.subset(own_range(len(images)))
    found = task.measure(network, part, data, precision)
    return dict(zip(found, mean_over_parts([*found.values()], len(part)), strict=True))
