"""Confidence beside accuracy, against the paper's definition with a loop over bins and images."""

import pytest
import torch

from understudy.engine.measure.calibration import NUM_BINS, bins, expected_calibration_error_pct


def slow_error(confidence, right):
    """Guo et al. 2017, equation 3, image by image."""
    total = 0.0
    for index in range(1, NUM_BINS + 1):
        inside = [at for at, value in enumerate(confidence) if (index - 1) / NUM_BINS < value <= index / NUM_BINS]
        if inside:
            accuracy = sum(right[at] for at in inside) / len(inside)
            mean = sum(confidence[at] for at in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return 100.0 * total


def test_the_error_is_the_papers(generator):
    confidence = torch.rand(500, generator=generator, dtype=torch.float64) * 0.9 + 0.1
    right = torch.rand(500, generator=generator, dtype=torch.float64) < confidence**2
    found = bins(confidence, right)
    assert sum(one.num_images for one in found) == 500
    assert expected_calibration_error_pct(found) == pytest.approx(slow_error(confidence.tolist(), right.tolist()))


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    edges = torch.tensor([3 / 15, 4 / 15, 1.0], dtype=torch.float64)
    found = bins(edges, torch.ones(3, dtype=torch.bool))
    assert [(one.low, one.high) for one in found] == [(2 / 15, 3 / 15), (3 / 15, 4 / 15), (14 / 15, 1.0)]


def test_who_is_right_as_often_as_it_says_has_no_error_and_who_is_always_wrong_but_sure_has_all():
    confidence, three_of_four = torch.full((4,), 0.75), torch.tensor([True, True, False, True])
    assert expected_calibration_error_pct(bins(confidence, three_of_four)) == pytest.approx(0.0)
    assert expected_calibration_error_pct(bins(torch.ones(4), torch.zeros(4, dtype=torch.bool))) == 100.0
