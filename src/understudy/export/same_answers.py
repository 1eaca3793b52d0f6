"""Whether an exported file answers as the network it was made from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from understudy.spec import RunFailedError

# One image, and even and odd numbers of them: a batch size that was baked in, or a sum over the batch, shows.
BATCH_SIZES = (1, 7, 32, 88)


class ExportError(RunFailedError):
    """A network cannot be exported, or the file does not answer as the network it was made from."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The largest difference of two logits, and on how many of `num_images` the prediction is the same."""

    num_images: int
    num_equal: int
    largest_difference: float
    largest_logit: float


@torch.no_grad()
def compare(
    network: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], images: Tensor, *, tolerance: float
) -> Comparison:
    """Both networks' answers to the same images, in batches of several sizes.

    Raises ExportError where logits differ by more than `tolerance` times the largest logit, are not finite, or have
    another shape. With a tolerance of 0 they are to be equal to the bit.
    """
    parts = [part for part in _batches(images) if len(part)]
    expected, found = torch.cat([network(part) for part in parts]), torch.cat([other(part) for part in parts])
    if expected.shape != found.shape:
        raise ExportError(
            f"it answers {tuple(found.shape)} to {len(images)} images, the network {tuple(expected.shape)}"
        )
    difference, largest = (found - expected).abs().max().item(), expected.abs().max().item()
    # Written so that a difference that is not a number is too large.
    if not difference <= tolerance * largest:
        raise ExportError(
            f"its logits differ from the network's by up to {difference:.3g}, more than {tolerance:g} of the largest "
            f"logit ({largest:.3g})"
        )
    return Comparison(
        num_images=len(images),
        num_equal=int((found.argmax(dim=1) == expected.argmax(dim=1)).sum()),
        largest_difference=difference,
        largest_logit=largest,
    )


def _batches(images: Tensor) -> list[Tensor]:
    """The images in batches of BATCH_SIZES; few images leave the last ones small or empty."""
    ends = [sum(BATCH_SIZES[: index + 1]) for index in range(len(BATCH_SIZES))]
    return [images[end - size : end] for end, size in zip(ends, BATCH_SIZES, strict=True)]
