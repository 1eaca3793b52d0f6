"""Feature maps as pictures: height and width of maps and of transformers' tokens, and both brought to one size."""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

# Class and register tokens stand before the patches; no known network has more.
MOST_PREFIX_TOKENS = 8


def grid(shape: Sequence[int], image_size: Sequence[int]) -> tuple[int, int] | None:
    """Height and width of a position's map: of (B, C, H, W), or of tokens (B, N, C) laid out like the image.

    None where the position is no smaller picture of the images of `image_size` (height, width): a vector, a map of
    other proportions (such as channels-last), tokens that fill no grid.
    """
    if len(shape) == 4:
        size = shape[2], shape[3]
        return size if _is_picture(size, image_size) else None
    if len(shape) == 3:
        for prefix in range(MOST_PREFIX_TOKENS + 1):
            size = _grid_of(shape[1] - prefix, image_size)
            if size is not None:
                return size
    return None


def _grid_of(num_patches: int, image_size: Sequence[int]) -> tuple[int, int] | None:
    """The grid in the proportions of the image that holds exactly so many patches, if there is one above 1x1."""
    if num_patches < 4:
        return None
    height = round(math.sqrt(num_patches * image_size[0] / image_size[1]))
    if height < 1 or num_patches % height:
        return None
    size = height, num_patches // height
    return size if size[0] * image_size[1] == size[1] * image_size[0] else None


def _is_picture(size: Sequence[int], image_size: Sequence[int]) -> bool:
    height, width = size
    # One pixel of rounding is allowed.
    return abs(height * image_size[1] - width * image_size[0]) <= max(image_size)


def as_map(feature: Tensor, image_size: Sequence[int]) -> Tensor:
    """Tokens (B, N, C) as a map (B, C, H, W), without the tokens before the patches; anything else as it is."""
    size = grid(feature.shape, image_size) if feature.dim() == 3 else None
    if size is None:
        return feature
    patches = feature[:, feature.shape[1] - size[0] * size[1] :]
    return patches.transpose(1, 2).unflatten(2, size)


def to_size(feature: Tensor, size: Sequence[int]) -> Tensor:
    """The map averaged down to (height, width); as it is where it has that size, or is no map."""
    if feature.dim() != 4 or tuple(feature.shape[2:]) == tuple(size):
        return feature
    return F.adaptive_avg_pool2d(feature, (size[0], size[1]))
