"""Sums over large values in float16, whose largest number is 65,504: they are taken in float32."""

import pytest
import torch

from understudy.losses import (
    activation_boundary,
    attention,
    factor,
    fsp,
    hint,
    kd,
    nst,
    partial_l2,
    rkd_angle,
    rkd_distance,
)

MAPS = (4, 6, 8, 8)


@pytest.mark.parametrize(
    ("distance", "shape", "count"),
    [
        (activation_boundary, MAPS, 1),
        (partial_l2, MAPS, 1),
        (hint, MAPS, 1),
        (attention, MAPS, 1),
        (nst, MAPS, 1),
        (fsp, MAPS, 2),
        (factor, MAPS, 1),
        (rkd_distance, (4, 64), 1),
        (rkd_angle, (4, 64), 1),
        (kd, (4, 10), 1),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_large_features_in_float16_come_to_what_they_do_in_float64(distance, shape, count, generator):
    # A product of two of them overflows.
    values = [(300 * torch.randn(shape, generator=generator)).half() for _ in range(2 * count)]
    own = [one.clone().requires_grad_() for one in values[:count]]
    exact = [one.double().requires_grad_() for one in values[:count]]
    found, expected = distance(*own, *values[count:]), distance(*exact, *(one.double() for one in values[count:]))
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)
    gradients = torch.autograd.grad(expected, exact)
    # Weighed as a run weighs it, so that float16 holds the gradient.
    weight = 1.0 / max(gradient.abs().max().item() for gradient in gradients)
    for one, gradient in zip(torch.autograd.grad(weight * found, own), gradients, strict=True):
        torch.testing.assert_close(one.double(), weight * gradient, rtol=2e-3, atol=1e-3)
