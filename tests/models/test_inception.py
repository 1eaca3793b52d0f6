"""Both Inceptions: one BatchNorm over the branches is one for each; pools; the sizes of maps."""

import pytest
import torch
from torch import nn

from understudy.models import build
from understudy.models.bn_inception import Inception
from understudy.models.small_inception import Down, Simple


def test_one_batch_norm_over_the_branches_is_what_one_for_each_would_be():
    block, x = Simple(3, 4, 5), torch.randn(6, 3, 8, 8)
    norms = [nn.BatchNorm2d(width, eps=1e-3) for width in (4, 5)]
    parts = [norm(conv(x)).relu() for norm, conv in zip(norms, (block.conv1x1, block.conv3x3), strict=True)]
    torch.testing.assert_close(block(x), torch.cat(parts, dim=1))
    torch.testing.assert_close(block.bn.running_var, torch.cat([norm.running_var for norm in norms]))


@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_the_pooled_half_is_the_largest_of_three_by_three_at_every_second_position(size):
    block, x = Down(2, 3).eval(), torch.randn(1, 2, *size)
    out = block(x)
    assert out.shape == (1, 5, (size[0] + 1) // 2, (size[1] + 1) // 2)
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            top, left = max(2 * row - 1, 0), max(2 * column - 1, 0)
            largest = x[0, :, top : 2 * row + 2, left : 2 * column + 2].amax(dim=(1, 2))
            assert torch.equal(out[0, 3:, row, column], largest)


def test_the_average_at_the_edge_counts_the_zeros_around():
    block, x = Inception(3, 1, (1, 1), (1, 1), 2), torch.ones(2, 3, 4, 4)
    pooled = block.projection[0](x)
    assert pooled[0, 0, 0, 0].item() == pytest.approx(4 / 9) and pooled[0, 0, 1, 1].item() == pytest.approx(1.0)


def sizes(name, size, layers):
    found = {}
    with torch.device("meta"):
        network = build(name, num_classes=4)
        for layer in layers:
            hook = lambda module, args, out, layer=layer: found.update({layer: (out.shape[1], *out.shape[2:])})  # noqa: E731
            getattr(network, layer).register_forward_hook(hook)
        network(torch.zeros(1, 3, size, size))
    return [found[layer] for layer in layers]


def test_the_small_ones_maps_are_those_of_the_table_at_32_and_28_pixels():
    widths = {"in3a": 64, "in3b": 80, "in3c": 160, "in4a": 160, "in4b": 160, "in4c": 160, "in4d": 144, "in4e": 240}
    widths |= {"in5a": 336, "in5b": 336}
    for size in (32, 28):
        scales = [1, 1, 2, 2, 2, 2, 2, 4, 4, 4]
        expected = [(w, size // s, size // s) for w, s in zip(widths.values(), scales, strict=True)]
        assert sizes("inception-bn-small", size, widths) == expected


def test_the_large_ones_maps_are_those_of_the_paper_at_224_pixels():
    widths = {"in3a": 256, "in3b": 320, "in3c": 576, "in4a": 576, "in4b": 576, "in4c": 608, "in4d": 608, "in4e": 1056}
    widths |= {"in5a": 1024, "in5b": 1024}
    scales = [28, 28, 14, 14, 14, 14, 14, 7, 7, 7]
    assert sizes("bn-inception", 224, widths) == [(w, s, s) for w, s in zip(widths.values(), scales, strict=True)]


def test_the_last_of_the_large_ones_blocks_pools_by_the_largest():
    with torch.device("meta"):
        network = build("bn-inception", num_classes=4)
    pools = [type(module) for name, module in network.named_modules() if name.endswith("projection.0")]
    assert pools == [nn.AvgPool2d] * 7 + [nn.MaxPool2d]


@pytest.mark.parametrize(("name", "eps"), [("inception-bn-small", 1e-3), ("bn-inception", 2e-5)])
def test_batch_norms_have_the_authors_eps(name, eps):
    with torch.device("meta"):
        network = build(name, num_classes=4)
    assert {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {eps}
