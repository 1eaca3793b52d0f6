"""Jacobian matching.

Srinivas & Fleuret, "Knowledge Transfer with Jacobian Matching", ICML 2018, equation 10 (the gradients of the peak of an
attention map, matched beside attention transfer).

Each network is differentiated at its own peak; whether the paper shares the teacher's location is not known to us.
"""

from torch import Tensor

from understudy.ops import at_least_float32, input_gradient, unit_vectors

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
    student_BJ = unit_vectors(_input_gradient(student_scalar, images, "student", trains=True))
    teacher_BJ = unit_vectors(_input_gradient(teacher_scalar, images, "teacher", trains=False))
    return (student_BJ - teacher_BJ).square().sum() / images.shape[0]


def _input_gradient(scalar_B: Tensor, images: Tensor, whose: str, trains: bool) -> Tensor:
    """d scalar / d image for each image, flattened: (B,), (B, ...) -> (B, J)."""
    if scalar_B.shape != images.shape[:1]:
        raise ValueError(
            f"the {whose}'s scalar has shape {tuple(scalar_B.shape)}, expected one number for each of the "
            f"{images.shape[0]} images, as `attention_peak` makes of a map"
        )
    needed_by = "Jacobian matching"
    return input_gradient(scalar_B.sum(), images, of=f"the {whose}'s scalar", needed_by=needed_by, trains=trains)
