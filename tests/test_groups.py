"""Groups of layers: where they end in small networks written for one question each."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from understudy.taps import named_positions, positions

IMAGES = torch.zeros(2, 3, 32, 32)


def conv(width_in: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width_in, width, 3, stride=stride, padding=1), nn.BatchNorm2d(width), nn.ReLU())


class Block(nn.Module):
    """Two convolutions beside a shortcut; the second one makes the map smaller."""

    def __init__(self, width_in: int, width: int, stride: int = 1):
        super().__init__()
        self.first, self.second = conv(width_in, width), conv(width, width, stride)
        self.shortcut = nn.Conv2d(width_in, width, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)) + self.shortcut(x)


class Stage(nn.Module):
    """Two blocks, and last a convolution that makes the map smaller."""

    def __init__(self, width: int):
        super().__init__()
        self.blocks = nn.Sequential(Block(width, width), Block(width, width))
        self.down = conv(width, width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.blocks(x))


class Pooled(nn.Sequential):
    def __init__(self, width_in: int, width: int):
        super().__init__(conv(width_in, width), conv(width, width), nn.MaxPool2d(2))


def head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))


def sizes(network: nn.Module, role: str = "group_end", images: Tensor = IMAGES) -> dict[str, int]:
    shapes = {position.name: position.shape for position in positions(network, images)}
    return {name: shapes[name][2] for name in named_positions(network, role, images)}


def test_what_a_block_with_a_shortcut_still_does_at_the_old_size_is_no_end():
    network = nn.Sequential(conv(3, 4), Block(4, 4), Block(4, 6, 2), Block(6, 8, 2), head(8))
    assert sizes(network) == {"1": 32, "2": 16, "3": 8}
    assert sizes(network, "after_relu") == {"1.second": 32, "2.second": 16, "3.second": 8}


def test_a_shortcut_tells_it_of_the_only_block_of_its_kind_too():
    class Only(Block):
        def __init__(self):
            super().__init__(4, 6, 2)
            self.first = nn.Sequential(conv(4, 6), conv(6, 6), conv(6, 6))

    network = nn.Sequential(conv(3, 4), Block(4, 4), Only(), head(6))
    assert sizes(network) == {"1": 32, "2": 16}


def test_what_is_larger_than_any_block_is_the_stem():
    network = nn.Sequential(conv(3, 4, 2), conv(4, 4), Block(4, 4, 2), Block(4, 6, 2), head(6))
    assert sizes(network) == {"2": 8, "3": 4}
    without_blocks = nn.Sequential(conv(3, 4, 2), conv(4, 4), conv(4, 6, 2), head(6))
    assert sizes(without_blocks) == {"1": 16, "2": 8}


def test_blocks_before_a_convolution_that_makes_maps_smaller_belong_to_the_larger_size():
    network = nn.Sequential(conv(3, 4, 2), Stage(4), Stage(4), head(4))
    assert sizes(network) == {"1.blocks": 16, "2.blocks": 8, "2.down": 4}


def test_a_pooling_at_a_modules_end_belongs_to_the_next_size():
    network = nn.Sequential(Pooled(3, 4), Pooled(4, 6), Pooled(6, 8), head(8))
    assert sizes(network) == {"0.1": 32, "1.1": 16, "2.1": 8}


@pytest.mark.parametrize("make", [lambda: nn.Identity(), lambda: nn.Dropout(0.5)])
def test_what_passes_its_input_on_is_no_position_of_its_own(make: Callable[[], nn.Module]):
    network = nn.Sequential(conv(3, 4), make(), conv(4, 6, 2), make(), head(6))
    assert sizes(network) == {"0": 32, "2": 16}
    assert not {"1", "3"} & {position.name for position in positions(network, IMAGES)}


def test_sizes_that_differ_by_a_border_are_one():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), conv(4, 6, 2), head(6))
    assert sizes(network) == {"3": 28, "4": 14}


def test_the_classifiers_own_map_is_no_feature():
    network = nn.Sequential(conv(3, 4), conv(4, 6, 2), nn.Conv2d(6, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    answering = nn.Sequential(network, nn.Flatten())
    assert sizes(answering) == {"0.0": 32, "0.1": 16}
    # Where a network answers a map, all of it is features.
    assert sizes(network)["3"] == 16


def test_a_gate_as_large_as_the_map_is_not_before_relu():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.gate, self.head = conv(3, 4), nn.Conv2d(4, 4, 1), head(4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return self.head(x * self.gate(x).sigmoid())

    assert sizes(Gated(), "before_relu") == {"before:conv.2": 32}


def test_relu6_is_called_by_its_name():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU6(), nn.Hardtanh(), head(4))
    said = {position.name: position.activation for position in positions(network, IMAGES)}
    assert said["0"] == "before ReLU6" and said["2"] == "after Hardtanh"
