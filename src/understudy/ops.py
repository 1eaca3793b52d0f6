"""Tensor mathematics that two or more papers share."""

import contextlib

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """The same values in float32 where their dtype is lower, untouched otherwise.

    Softmaxes and sums of squares over a feature map lose their digits, or overflow, in half precision.
    """
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def full_precision(values: Tensor) -> contextlib.AbstractContextManager:
    """A stretch of code in which autocast does not lower products on the device of these values."""
    return torch.autocast(values.device.type, enabled=False)
