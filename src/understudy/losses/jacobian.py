"""Jacobian matching.

Srinivas & Fleuret, "Knowledge Transfer with Jacobian Matching", ICML 2018, equation 10 (the gradients of the peak of an
attention map, matched beside attention transfer).

Each network is differentiated at its own peak; whether the paper shares the teacher's location is not known to us.
"""

import torch
from torch import Tensor

from understudy.ops import at_least_float32, full_precision

# Shapes: B images, C channels, H x W positions, P = H * W, J = all numbers of one image.


def attention_peak(feature_BCHW: Tensor) -> Tensor:
    """The largest value over positions of sum_c f_c^2, one per image: (B, C, H, W) -> (B,).

    Where the peak is is not differentiated; of equal peaks one position alone receives the gradient. Raises
    ValueError for a feature that is no map.
    """
    if feature_BCHW.ndim != 4:
        raise ValueError(
            f"a peak is looked for over positions; found a feature of shape {tuple(feature_BCHW.shape)}, expected "
            "(B, C, H, W): read it before the positions are pooled away"
        )
    energy_BP = at_least_float32(feature_BCHW).square().sum(dim=1).flatten(1)
    return energy_BP.gather(1, energy_BP.argmax(dim=1, keepdim=True)).squeeze(1)


def jacobian(student_scalar: Tensor, teacher_scalar: Tensor, images: Tensor) -> Tensor:
    """Squared L2 distance of the two unit gradients towards an image, averaged over the batch.

    (B,), (B,), (B, ...) -> (): 2 - 2 cos, in [0, 4]. Each scalar is one number per image, such as `attention_peak`
    or one class's logit, of a network that has seen these images while they required gradients; a positive scale of
    either changes nothing. A gradient of all zeros stays zero and is passed nothing back. May be called again on
    the same forward passes. BatchNorm on batch statistics ties images together: an image's gradient then holds what
    it does to the scalars of the others. Raises ValueError for a scalar that is not one number an image or does not
    depend on the images.
    """
    student_BJ = _unit(_input_gradient(student_scalar, images, "student", trains=True))
    teacher_BJ = _unit(_input_gradient(teacher_scalar, images, "teacher", trains=False))
    return (student_BJ - teacher_BJ).square().sum() / images.shape[0]


def _input_gradient(scalar_B: Tensor, images: Tensor, whose: str, trains: bool) -> Tensor:
    """d scalar / d image for each image, flattened: (B,), (B, ...) -> (B, J)."""
    if scalar_B.shape != images.shape[:1]:
        raise ValueError(
            f"the {whose}'s scalar has shape {tuple(scalar_B.shape)}, expected one number for each of the "
            f"{images.shape[0]} images, as `attention_peak` makes of a map"
        )
    if not images.requires_grad:
        raise ValueError(
            "Jacobian matching needs images that require gradients; call images.requires_grad_() before both networks "
            "see them"
        )
    gradient = None
    if scalar_B.requires_grad:
        with full_precision(images):
            # The graph is kept: several layers share one forward pass.
            (gradient,) = torch.autograd.grad(
                scalar_B.sum(), images, create_graph=trains, retain_graph=True, allow_unused=True
            )
    if gradient is None:
        raise ValueError(
            f"the {whose}'s scalar does not depend on the images given; run the {whose} on these very images, without "
            "torch.no_grad"
        )
    return at_least_float32(gradient if trains else gradient.detach()).flatten(1)


def _unit(gradient_BJ: Tensor) -> Tensor:
    norm_B1 = torch.linalg.vector_norm(gradient_BJ, dim=1, keepdim=True)
    # What is divided by is made safe: a guard on the quotient would let 0 * inf into the gradient.
    return torch.where(norm_B1 == 0, 0.0, gradient_BJ / torch.where(norm_B1 == 0, 1.0, norm_B1))
