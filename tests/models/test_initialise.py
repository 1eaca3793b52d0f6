"""He's normal initialisation."""

import pytest
import torch
from torch import nn

from understudy.models import build
from understudy.models.initialise import he_normal


@pytest.mark.parametrize(("fan", "count"), [("in", 9 * 40), ("out", 9 * 200)])
def test_convolutions_have_two_over_their_fan_as_variance_and_biases_are_zero(fan, count):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(40, 200, 3))
    he_normal(network, fan)
    assert network[0].weight.var().item() == pytest.approx(2 / count, rel=0.02)
    assert network[0].weight.mean().item() == pytest.approx(0.0, abs=1e-3)
    assert not network[0].bias.any()


@pytest.mark.parametrize("name", ["preresnet11", "pyramidnet11-12-bottleneck", "inception-bn-small", "bn-inception"])
def test_classifiers_start_without_bias_where_the_authors_do(name):
    assert not build(name, num_classes=3).fc.bias.any()


def test_the_weights_of_a_seed_are_what_they_were_in_version_0_1():
    # Recorded before other families came; runs that were begun then end in the same bits.
    torch.manual_seed(0)
    network = build("wrn10-1", num_classes=10)
    tensors = network.conv1.weight, network.block3.layer[0].conv2.weight, network.fc.weight
    sums = [tensor.double().sum().item() for tensor in tensors]
    assert sums == pytest.approx([1.7816890950780362, 12.189320744649493, -1.45556078851223], rel=1e-9)
