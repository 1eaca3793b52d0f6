"""Convolutions whose gradients a processor does not compute in bfloat16.

Where an image is narrower than the stride, such as one of 1x1 under a stride of 2, oneDNN's kernel for the gradient of
the weights reads memory that nobody wrote (seen with torch 2.15.0 on AVX512-BF16). Most often it holds zeros or
numbers that are multiplied by zero, sometimes something that is not a number, and then so are the weights: runs of a
timm ResNet on images of 8x8 were lost without a word. The height does not matter, nor float32.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from understudy.modes import evaluating


class _Watch(TorchDispatchMode):
    """Notes convolutions of images that are narrower than the stride."""

    found: str | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            images, stride = args[0], args[3]
            if images.shape[-1] < stride[-1]:
                self.found = f"a convolution of stride {stride[-1]} sees images {images.shape[-1]} pixels wide"
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def find_narrow_convolution(network: nn.Module, image: Tensor) -> str | None:
    """What is wrong, in words, for images of this shape (1, C, H, W); None where every gradient can be computed."""
    with evaluating(network), _Watch() as watch:
        network(image)
    return watch.found
