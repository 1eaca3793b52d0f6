"""Connectors: there exactly where widths differ, and of the right form."""

import math

import pytest
import torch
from torch import nn

from understudy.connectors import Conv1x1BN, LinearHead, MatchLength, MatchWidth


def test_equal_widths_are_compared_as_they_are():
    connector = MatchWidth((2, 8, 4, 4), (2, 8, 4, 4))
    feature = torch.randn(2, 8, 4, 4)
    assert not list(connector.parameters()) and connector(feature) is feature


def test_other_widths_are_met_by_a_1x1_convolution_without_bias_and_a_batch_norm():
    connector = MatchWidth((2, 8, 4, 4), (2, 12, 4, 4))[0]
    assert isinstance(connector, Conv1x1BN)
    assert connector.conv.weight.shape == (12, 8, 1, 1) and connector.conv.bias is None
    assert isinstance(connector.bn, nn.BatchNorm2d)
    feature = torch.randn(2, 8, 4, 4)
    mixed = torch.einsum("oc,bchw->bohw", connector.conv.weight[:, :, 0, 0], feature)
    mean, var = mixed.mean(dim=(0, 2, 3), keepdim=True), mixed.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
    torch.testing.assert_close(connector(feature), (mixed - mean) / (var + 1e-5).sqrt(), rtol=1e-4, atol=1e-5)


def test_starts_with_he_normal_weights_by_fan_out():
    torch.manual_seed(0)
    connector = Conv1x1BN((2, 256, 4, 4), (2, 512, 4, 4))
    assert connector.conv.weight.std().item() == pytest.approx(math.sqrt(2 / 512), rel=0.02)


@pytest.mark.parametrize(
    ("student", "teacher", "words"),
    [((2, 8, 4, 4), (2, 8, 2, 2), "4x4 positions, the teacher's 2x2"), ((2, 8), (2, 8, 2, 2), "maps")],
)
def test_other_sizes_are_an_explained_error(student, teacher, words):
    with pytest.raises(ValueError, match=words):
        MatchWidth(student, teacher)


def test_vectors_of_other_lengths_are_met_by_a_linear_map_and_equal_ones_by_none():
    assert [tuple(p.shape) for p in MatchLength((2, 8), (2, 5)).parameters()] == [(5, 8)]
    assert not list(MatchLength((2, 8), (2, 8)).parameters())


def test_a_linear_head_starts_as_pytorchs_layers_do():
    heads = []
    for build in (lambda: LinearHead((2, 64), (2, 1000)), lambda: torch.nn.Linear(64, 1000)):
        torch.manual_seed(0)
        heads.append(build())
    assert all(torch.equal(a, b) for a, b in zip(heads[0].parameters(), heads[1].parameters(), strict=True))


@pytest.mark.parametrize("connector", [LinearHead, MatchLength])
def test_maps_where_vectors_are_connected_are_an_explained_error(connector):
    with pytest.raises(ValueError, match="'embedding'"):
        connector((2, 8, 4, 4), (2, 8))
