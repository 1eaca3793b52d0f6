"""What a network says against images, and which sizes it takes instead."""

import copy

import torch
from torch import Tensor, nn

from understudy.modes import evaluating

# Where a network refuses a size, these are tried, to say which it takes.
USUAL_SIZES = (32, 64, 96, 128, 160, 192, 224, 256, 299, 320, 384, 448, 512)


@torch.no_grad()
def refusal(network: nn.Module, images: Tensor) -> str | None:
    """Why the network does not take these images (B, C, H, W), in its own words; None where it does."""
    try:
        with evaluating(network):
            network(images)
    except (RuntimeError, AssertionError, ValueError, IndexError, TypeError) as error:
        return " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return None


def fitting_size(network: nn.Module, channels: int) -> int | None:
    """The smallest usual height and width that the network takes; None where it takes none of them."""
    sizes = (size for size in USUAL_SIZES if refusal(network, torch.zeros(1, channels, size, size)) is None)
    return next(sizes, None)


def check_size(what: str, setting: str, network: nn.Module, images: Tensor) -> None:
    """ValueError where the network does not take the images, with the value of the setting that would mend it."""
    problem = refusal(network, images)
    if problem is None:
        return
    size = fitting_size(network, images.shape[1])
    advice = f"; it takes {size}x{size}: add {setting}={size}" if size is not None else ""
    raise ValueError(f"{what} does not take images of {'x'.join(map(str, images.shape[1:]))} ({problem}){advice}")


@torch.no_grad()
def check_batch_of_one(network: nn.Module, image: Tensor) -> None:
    """ValueError where one image (1, C, H, W) leaves a BatchNorm of the network a single value a channel."""
    try:
        copy.deepcopy(network).train()(image)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            "batches have one image, and a BatchNorm of the student sees one value a channel of it, which has no "
            "variance; found batch_size=1 or one training image (for each process), give 2 or more"
        ) from error
