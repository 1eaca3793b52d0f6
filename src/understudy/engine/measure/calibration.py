"""Whether a network is right as often as it says.

Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 2: the confidence is the
probability of the predicted class, the bins are ((m - 1) / M, m / M], and the expected calibration error is the mean
over all images of how far a bin's accuracy is from its mean confidence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NUM_BINS = 15


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The images with a confidence in (low, high]: how many, their mean confidence and the share that is right."""

    low: float
    high: float
    num_images: int
    confidence_pct: float
    accuracy_pct: float


def bins(confidence_N: Tensor, right_N: Tensor) -> list[Bin]:
    """The bins that hold an image, from low to high; `confidence_N` in (0, 1], `right_N` of truth values."""
    edges = torch.arange(1, NUM_BINS, dtype=torch.float64) / NUM_BINS
    # Without `right`, a confidence that lies on an edge belongs below it.
    index_N = torch.bucketize(confidence_N.double(), edges)
    found = []
    for index in index_N.unique().tolist():
        inside = index_N == index
        found.append(
            Bin(
                low=index / NUM_BINS,
                high=(index + 1) / NUM_BINS,
                num_images=int(inside.sum()),
                confidence_pct=100.0 * confidence_N[inside].double().mean().item(),
                accuracy_pct=100.0 * right_N[inside].double().mean().item(),
            )
        )
    return found


def expected_calibration_error_pct(found: list[Bin]) -> float:
    """The mean over images of |accuracy - confidence| of their bin, in per cent."""
    num_images = sum(one.num_images for one in found)
    return sum(one.num_images * abs(one.accuracy_pct - one.confidence_pct) for one in found) / num_images
