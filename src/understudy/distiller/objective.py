"""What labels ask of a student's logits where nothing else is asked."""

import torch.nn.functional as F
from torch import Tensor

from understudy.ops import at_least_float32


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Averaged over the batch: labels are classes (B,), or soft ones (B, K) that sum to one.

    Raises ValueError for an answer that is no tensor of logits (B, K) or (B, K, ...).
    """
    if not isinstance(logits, Tensor) or logits.ndim < 2:
        found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ValueError(
            f"the student's answer in training is {found}; expected logits (B, K): wrap the network so that it "
            "answers them alone, or give an `objective` of your own"
        )
    return F.cross_entropy(at_least_float32(logits), labels)
