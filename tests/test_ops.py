"""What several losses share."""

import torch

from understudy.ops import scaled, unit_vectors


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
