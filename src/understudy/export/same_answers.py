"""Whether an exported file answers as the network it was made from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from understudy.spec import RunFailedError

# One image, and even and odd numbers of them: a batch size that was baked in, or a sum over the batch, shows.
BATCH_SIZES = (1, 7, 32, 88)


class ExportError(RunFailedError):
    """A network cannot be exported, or the file does not answer as the network it was made from."""


@contextmanager
def told(model: str, path: Path) -> Iterator[None]:
    """Failures of an exporter, which may be of any type, as an ExportError with their first lines."""
    try:
        yield
    except ExportError as error:
        raise ExportError(f"{path} was not written: {error}") from error
    except Exception as error:
        reason = "\n".join(str(error).strip().splitlines()[:3])
        raise ExportError(f"{model} cannot be exported to {path}: {type(error).__name__}: {reason}") from error


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The largest difference of two logits, and on how many of `num_images` the prediction is the same."""

    num_images: int
    num_equal: int
    largest_difference: float
    largest_logit: float

    def in_words(self) -> str:
        """How the file's answers compare with the network's."""
        difference = (
            "logits equal to the bit"
            if self.largest_difference == 0.0
            else f"logits differ by at most {self.largest_difference:.1e} (the largest is {self.largest_logit:.3g})"
        )
        return f"{difference}, top-1 equal on {self.num_equal} of {self.num_images} test images"


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
