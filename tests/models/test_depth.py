"""Blocks from a depth, and depths that have none."""

import pytest

from understudy.models import build
from understudy.models.depth import blocks_per_group


def test_the_depth_counts_what_the_blocks_and_the_rest_have():
    assert blocks_per_group("it", 20, layers=6, others=2) == 3
    assert blocks_per_group("it", 1001, layers=9, others=2) == 111


@pytest.mark.parametrize(
    ("depth", "near"), [(21, "20 and 26"), (25, "20 and 26"), (7, "8"), (2, "8"), (0, "8"), (11, "8 and 14")]
)
def test_a_depth_without_blocks_is_answered_with_the_nearest_that_have(depth, near):
    with pytest.raises(ValueError) as caught:
        blocks_per_group("it", depth, layers=6, others=2)
    assert str(caught.value) == f"the depth of it is 6 n + 2 (8, 14, 20, 26, 32, ...), found {depth}; nearest: {near}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrn17-2", "a WRN is 6 n .* found 17; nearest: 16 and 22"),
        ("resnet21", "a CIFAR ResNet is .* found 21; nearest: 20 and 26"),
        ("resnet18-a", "nearest: 14 and 20"),
        ("preresnet1000", "a pre-activation ResNet is 9 n .* nearest: 992 and 1001"),
        ("pyramidnet111-84-basic", "with basic blocks is 6 n .* nearest: 110 and 116"),
        ("pyramidnet201-240-bottleneck", "with bottlenecks is 9 n .* nearest: 200 and 209"),
        ("pyramidnet200-240", "pyramidnet200-240-basic or pyramidnet200-240-bottleneck"),
        ("pyramidnet20-0-basic", "alpha, .* 1 or more, found 0"),
    ],
)
def test_every_family_says_which_sizes_it_has(name, words):
    with pytest.raises(ValueError, match=words):
        build(name, num_classes=2)
