"""Tensor mathematics that two or more papers share, and images at another size."""

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def at_least_float32(values: Tensor) -> Tensor:
    """The same values in float32 where their dtype is lower, untouched otherwise.

    Softmaxes and sums of squares over a feature map lose their digits, or overflow, in half precision.
    """
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def full_precision(values: Tensor) -> contextlib.AbstractContextManager:
    """A stretch of code in which autocast does not lower products on the device of these values."""
    return torch.autocast(values.device.type, enabled=False)


def unit_vectors(vectors: Tensor) -> Tensor:
    """The last dimension at length 1: (..., N) -> (..., N). Zeros stay zeros and are passed no gradient."""
    norm = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    # What is divided by is made safe: a guard on the quotient would let 0 * inf into the gradient.
    return torch.where(norm == 0, 0.0, vectors / torch.where(norm == 0, 1.0, norm))


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


def scaled(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images at another height and width, bilinear, with antialiasing where they shrink: (B, C, H, W) -> (B, C, *size).

    Those of this size come back as they are.
    """
    if tuple(images.shape[-2:]) == size:
        return images
    is_smaller = size[0] < images.shape[-2] or size[1] < images.shape[-1]
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=is_smaller)


class _SumOfSquares(torch.autograd.Function):
    """The sum of residual^2, whose gradient at the student is 2 residual: nothing but the residual is kept."""

    @staticmethod
    def forward(ctx, student: Tensor, residual: Tensor) -> Tensor:
        ctx.save_for_backward(residual)
        ctx.dtype = student.dtype
        return residual.square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (residual,) = ctx.saved_tensors
        return (residual * (2.0 * gradient)).to(ctx.dtype), None


def sum_of_squares(student: Tensor, residual: Tensor) -> Tensor:
    """The sum of all residual^2: (...), (...) -> (), differentiated at the student alone.

    `residual` is what is made of `student.detach()`: the student minus something constant wherever it is not 0. So the
    gradient needs no mask, which costs an order of magnitude more time than the sum when a compiler writes it.
    """
    return _SumOfSquares.apply(student, residual)
