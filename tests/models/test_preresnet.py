"""Pre-activation bottlenecks by hand."""

import torch

from understudy.models.preresnet import Block, PreResNet


def residual(block, active):
    return block.conv3(block.bn3(block.conv2(block.bn2(block.conv1(active)).relu())).relu())


def test_the_shortcut_is_the_raw_input_or_a_projection_of_the_activated_one():
    wide, x = Block(8, 2, 1).eval(), torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(wide(x), x + residual(wide, wide.bn1(x).relu()))
    down = Block(8, 4, 2).eval()
    active = down.bn1(x).relu()
    assert down.shortcut is not None
    torch.testing.assert_close(down(x), down.shortcut(active) + residual(down, active))
    assert down(x).shape == (2, 16, 3, 3)


def test_the_stride_is_in_the_first_convolution_and_each_group_starts_with_a_projection():
    network = PreResNet(depth=20)
    firsts = [group[0] for group in (network.layer1, network.layer2, network.layer3)]
    assert [block.conv1.stride[0] for block in firsts] == [block.shortcut.stride[0] for block in firsts] == [1, 2, 2]
    assert all(block.conv2.stride == (1, 1) for block in firsts)
    assert all(group[1].shortcut is None for group in (network.layer1, network.layer2, network.layer3))
