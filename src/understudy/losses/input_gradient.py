"""The gradient of one number per image towards that image, as a network that has seen it gives it."""

import torch
from torch import Tensor

from understudy.ops import at_least_float32, full_precision

# Shapes: B images, J = all numbers of one image.


def input_gradient(total: Tensor, images: Tensor, *, of: str, needed_by: str, trains: bool) -> Tensor:
    """d total / d images, each image's own where `total` is a sum over the batch: (), (B, ...) -> (B, J).

    It is differentiable itself where it `trains`, detached otherwise; the graph is kept, since other losses may ask the
    same forward pass for gradients. Raises ValueError, with the name `of` what is differentiated, for images that do
    not require gradients and for a total that does not depend on these very images.
    """
    if not images.requires_grad:
        raise ValueError(
            f"{needed_by} needs images that require gradients; call images.requires_grad_() before both networks see "
            "them"
        )
    gradient = None
    if total.requires_grad:
        with full_precision(images):
            (gradient,) = torch.autograd.grad(total, images, create_graph=trains, retain_graph=True, allow_unused=True)
    if gradient is None:
        raise ValueError(
            f"{of} does not depend on the images given; run the network on these very images, without torch.no_grad"
        )
    return at_least_float32(gradient if trains else gradient.detach()).flatten(1)
