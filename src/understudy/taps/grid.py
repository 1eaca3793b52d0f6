"""Feature maps as pictures: height and width of maps and of transformers' tokens, and both brought to one size."""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

# Class and register tokens stand before the patches; no known network has more.
MOST_PREFIX_TOKENS = 8


def size_seen(network: nn.Module, images: Tensor) -> tuple[int, int]:
    """Height and width of the images as the network works on them.

    That of the images, (B, C, H, W), unless it scales them first and says so in an attribute `size_seen`.
    """
    own = getattr(network, "size_seen", None)
    return (images.shape[-2], images.shape[-1]) if own is None else own


def grid(shape: Sequence[int], image_size: Sequence[int]) -> tuple[int, int] | None:
    """Height and width of a position's map: (B, C, H, W), (B, H, W, C), or tokens (B, N, C) laid out like the image.

    None where the position is no smaller picture of the images of `image_size` (height, width): a vector, a map of
    other proportions, tokens that fill no grid. Where either order would do, the channels stand first.
    """
    if len(shape) == 4:
        sizes = (shape[2], shape[3]), (shape[1], shape[2])
        return next((size for size in sizes if _is_picture(size, image_size)), None)
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
    # Less than a pixel of rounding is allowed: of square images maps are square.
    return abs(height * image_size[1] - width * image_size[0]) < max(image_size)


def as_map(feature: Tensor, image_size: Sequence[int]) -> Tensor:
    """Channels-last maps and tokens as maps (B, C, H, W), these without the tokens before the patches.

    Anything else as it is.
    """
    size = grid(feature.shape, image_size)
    if size is None or (feature.dim() == 4 and tuple(feature.shape[2:]) == size):
        return feature
    if feature.dim() == 4:
        return feature.movedim(3, 1)
    patches = feature[:, feature.shape[1] - size[0] * size[1] :]
    return patches.transpose(1, 2).unflatten(2, size)


def to_size(feature: Tensor, size: Sequence[int]) -> Tensor:
    """The map averaged down to (height, width); as it is where it has that size, or is no map."""
    if feature.dim() != 4 or tuple(feature.shape[2:]) == tuple(size):
        return feature
    return F.adaptive_avg_pool2d(feature, (size[0], size[1]))
