"""Tensor mathematics that two or more papers share."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """The same values in float32 where their dtype is lower, untouched otherwise.

    Softmaxes and sums of squares over a feature map lose their digits, or overflow, in half precision.
    """
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
