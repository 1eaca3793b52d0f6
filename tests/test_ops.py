"""What several losses share."""

import pytest
import torch

from understudy.ops import input_gradient, scaled, unit_vectors


def test_images_are_smoothed_along_any_axis_that_shrinks():
    """Stripes of one pixel come out as their mean, whichever way the other axis goes."""
    stripes = torch.tensor([0.0, 1.0]).repeat(64).expand(1, 1, 32, 128)
    for images, size in ((stripes, (48, 43)), (stripes.mT, (43, 48))):
        assert scaled(images.contiguous(), size).std() < 0.1


def test_a_vector_of_zeros_stays_where_others_get_length_one():
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-20]], dtype=torch.float64, requires_grad=True)
    unit = unit_vectors(vectors)
    torch.testing.assert_close(unit, torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(unit[:2].sum(), vectors)
    # d/dv of v/|v| takes away what points along v: (1, 1) - 1.4 (0.6, 0.8), over 5.
    expected = torch.tensor([[0.032, -0.024], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected)


def test_each_image_has_its_own_gradient_and_what_trains_has_a_second_one():
    images = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    named = {"of": "the student's energy", "needed_by": "this test"}
    trained = input_gradient((weight * images.square()).sum(), images, trains=True, **named)
    torch.testing.assert_close(trained, 4.0 * images)
    # d/dw of sum 2 w x.
    assert torch.autograd.grad(trained.sum(), weight)[0].item() == pytest.approx(2.0 * 5.0)
    assert not input_gradient((weight * images.square()).sum(), images, trains=False, **named).requires_grad
    with pytest.raises(ValueError, match="this test needs images that require gradients"):
        input_gradient(weight * 1.0, images.detach(), trains=True, **named)
    with pytest.raises(ValueError, match="the student's energy does not depend on the images given"):
        input_gradient(weight * 1.0, images, trains=True, **named)
