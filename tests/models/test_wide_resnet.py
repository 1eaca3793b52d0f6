"""Wide residual networks: shortcuts and the weights they start with."""

import pytest
import torch

from understudy.models.wide_resnet import WideResNet


def test_a_wide_block_shares_its_activation_with_the_shortcut_only_where_widths_differ():
    block = WideResNet(depth=10, width=2).block2.layer[0].eval()
    x = torch.randn(2, 32, 8, 8)
    active = block.bn1(x).relu()
    expected = block.convShortcut(active) + block.conv2(block.bn2(block.conv1(active)).relu())
    torch.testing.assert_close(block(x), expected)
    assert WideResNet(depth=16, width=1).block1.layer[0].convShortcut is None


def test_convolutions_start_he_normal_by_fan_out_and_the_classifier_without_bias():
    torch.manual_seed(0)
    network = WideResNet(depth=10, width=4)
    weight = network.block3.layer[0].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert not network.fc.bias.any()
