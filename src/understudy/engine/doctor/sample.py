"""Some of the images, as bytes in memory, whichever way the data set keeps them."""

from dataclasses import replace

import torch

from understudy.data import BoxedImages, Dataset, ImageSet, batches_in_order

BATCH_SIZE = 100


def drawn(num_images: int, most: int) -> torch.Tensor:
    """The indices of at most so many images, in order, always the same: classes may come in turn or not."""
    return shuffled(num_images)[:most].sort().values


def shuffled(num_images: int) -> torch.Tensor:
    """All indices in an order that is always the same."""
    return torch.randperm(num_images, generator=torch.Generator().manual_seed(0))


def sample(data: Dataset, most: int) -> ImageSet:
    """At most `most` of the test images, drawn, as the networks would see them but for normalisation.

    Raises ValueError that names an image that cannot be decoded.
    """
    some = data.test.subset(drawn(len(data.test), most))
    if isinstance(some, ImageSet):
        return some
    assert not isinstance(some, BoxedImages)
    channels = data.image_shape[0]
    # Not normalised, and by this process: it takes less than to start others.
    bare = replace(data, mean=(0.0,) * channels, std=(1.0,) * channels, workers=0)
    batches = batches_in_order(some, bare, batch_size=BATCH_SIZE, device="cpu")
    pixels = torch.cat([images.to(torch.uint8) for images, _ in batches])
    return ImageSet(images=pixels, labels=some.labels, class_names=some.class_names)
