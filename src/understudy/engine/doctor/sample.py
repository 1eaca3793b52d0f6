"""Some of the images, as bytes in memory, whichever way the data set keeps them."""

import torch

from understudy.data import Dataset, ImageSet


def spread(num_images: int, most: int) -> torch.Tensor:
    """At most so many indices, evenly over the set, so that sets in the order of their classes lose none."""
    return torch.arange(min(num_images, most)) * num_images // max(1, min(num_images, most))


def sample(data: Dataset, most: int) -> ImageSet:
    """At most `most` of the test images, evenly over the set, as the networks would see them but for normalisation."""
    return data.test.subset(spread(len(data.test), most))
