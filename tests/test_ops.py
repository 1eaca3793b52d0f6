"""What several losses share."""

import torch

from understudy.ops import scaled


def test_images_are_smoothed_along_any_axis_that_shrinks():
    """Stripes of one pixel come out as their mean, whichever way the other axis goes."""
    stripes = torch.tensor([0.0, 1.0]).repeat(64).expand(1, 1, 32, 128)
    for images, size in ((stripes, (48, 43)), (stripes.mT, (43, 48))):
        assert scaled(images.contiguous(), size).std() < 0.1
