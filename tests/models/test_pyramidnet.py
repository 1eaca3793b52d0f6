"""PyramidNets: widths that grow evenly, blocks and shortcuts by hand."""

import pytest
import torch

from understudy.models import build
from understudy.models.pyramidnet import Basic, Bottleneck


def blocks_of(network):
    return [block for group in (network.layer1, network.layer2, network.layer3) for block in group.children()]


def widths(name):
    with torch.device("meta"):
        network = build(name, num_classes=2)
    return [block.conv1.out_channels for block in blocks_of(network)]


@pytest.mark.parametrize(
    ("name", "ends", "num_blocks"),
    [("pyramidnet110-84-basic", (44, 72, 100), 18), ("pyramidnet200-240-bottleneck", (96, 176, 256), 22)],
)
def test_groups_end_at_the_published_widths(name, ends, num_blocks):
    found = widths(name)
    assert tuple(found[num_blocks - 1 :: num_blocks]) == ends and len(found) == 3 * num_blocks
    assert found[0] == round(16 + (ends[-1] - 16) / len(found))


def test_halves_are_rounded_up():
    # Six blocks that add 3 in all: 16.5, 17, 17.5, 18, 18.5, 19.
    assert widths("pyramidnet14-3-basic") == [17, 17, 18, 18, 19, 19]


def test_no_relu_stands_before_the_first_convolution_or_after_the_sum():
    x = torch.randn(2, 4, 6, 6)
    basic = Basic(4, 4, 1).eval()
    residual = basic.bn3(basic.conv2(basic.bn2(basic.conv1(basic.bn1(x))).relu()))
    torch.testing.assert_close(basic(x), residual + x)
    narrow = Bottleneck(4, 1, 1).eval()
    inner = narrow.bn3(narrow.conv2(narrow.bn2(narrow.conv1(narrow.bn1(x))).relu())).relu()
    torch.testing.assert_close(narrow(x), narrow.bn4(narrow.conv3(inner)) + x)


@pytest.mark.parametrize("make", [lambda: Basic(3, 5, 2), lambda: Bottleneck(3, 2, 2)])
def test_the_shortcut_averages_two_by_two_positions_and_has_zeros_for_the_new_channels(make):
    block, x = make().eval(), torch.randn(2, 3, 6, 5)
    # Without its last BatchNorm the residual is nothing.
    last = block.bn3 if isinstance(block, Basic) else block.bn4
    torch.nn.init.zeros_(last.weight)
    out = block(x)
    for row in range(3):
        for column in range(3):
            window = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            torch.testing.assert_close(out[:, :3, row, column], window.mean(dim=(2, 3)))
    assert out.shape[2:] == (3, 3) and not out[:, 3:].any()


def test_the_only_strides_are_in_the_second_and_third_group_of_bottlenecks_in_the_middle_convolution():
    network = build("pyramidnet20-12-bottleneck", num_classes=2)
    blocks = blocks_of(network)
    assert [block.conv2.stride[0] for block in blocks] == [1, 1, 2, 1, 2, 1]
    assert all(block.conv1.stride == (1, 1) for block in blocks)
