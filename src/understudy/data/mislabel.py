"""Wrong labels on purpose: what they do to a student is measured, and whether a selection of images finds them."""

from dataclasses import replace

import torch

from understudy.data.boxed_images import BoxedImages
from understudy.data.image_set import Dataset
from understudy.data.seeds import seed_of


def mislabelled(data: Dataset, *, share: float, seed: int) -> Dataset:
    """The set with this share of its training images, rounded, under the label of another class.

    Images and wrong labels are drawn evenly, by `seed` alone; `mislabelled` of the set has the right ones. Raises
    ValueError where there is no other class, or the share comes to no image.
    """
    assert not isinstance(data.train, BoxedImages)
    if not 0 < share <= 1:
        raise ValueError(f"data.mislabel={share:g}: it is a share of the training images, above 0 and at most 1")
    num_images, num_classes = len(data.train), data.num_classes
    count = round(share * num_images)
    if num_classes < 2 or count == 0:
        raise ValueError(
            f"data.mislabel={share:g} gives none of {num_images:,} images of {num_classes:,} "
            f"class{'' if num_classes == 1 else 'es'} a wrong label; take a larger share, or leave it out"
        )
    generator = torch.Generator().manual_seed(seed_of("mislabel", seed))
    places = torch.randperm(num_images, generator=generator)[:count].sort().values
    steps = torch.randint(1, num_classes, (count,), generator=generator)
    labels = data.train.labels.clone()
    right = labels[places]
    labels[places] = (right + steps) % num_classes
    return replace(
        data,
        train=replace(data.train, labels=labels),
        mislabelled=dict(zip(places.tolist(), right.tolist(), strict=True)),
    )
