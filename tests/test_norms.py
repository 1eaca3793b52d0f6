"""Which BatchNorm made what is read at a position."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from understudy.models import build
from understudy.taps import named_positions, norm_at

IMAGES = torch.zeros(2, 3, 32, 32)


def name_of_norm(network: nn.Module, position: str, channels: int, images: Tensor = IMAGES) -> str | None:
    """The name of the module that `norm_at` answers."""
    found = norm_at(network, position, channels, images)
    return None if found is None else next(name for name, module in network.named_modules() if module is found)


def test_of_a_wide_resnet_it_is_the_batch_norm_that_is_read_itself():
    network = build("wrn16-1", num_classes=5)
    for position, channels in (("block2.layer.0.bn1", 16), ("block3.layer.0.bn1", 32), ("bn1", 64)):
        assert name_of_norm(network, position, channels) == position


def test_of_a_stage_that_ends_in_a_batch_norm_it_is_that_last_one():
    network, images = build("digits-2x6", num_classes=5, in_channels=1), torch.zeros(2, 1, 8, 8)
    assert [name_of_norm(network, f"stage{n}", 6 * 2 ** (n - 1), images) for n in (1, 2, 3)] == [
        "stage1.4",
        "stage2.4",
        "stage3.4",
    ]


@pytest.mark.parametrize(
    ("block", "depth", "expansion", "last"),
    [(BasicBlock, 1, 1, "bn2"), (BasicBlock, 2, 1, "bn2"), (Bottleneck, 1, 4, "bn3")],
)
def test_of_a_residual_sum_it_is_the_blocks_last_one_and_not_the_shortcuts(block, depth, expansion, last):
    network = ResNet(block, [depth] * 4, num_classes=5)
    calls = 2 if block is BasicBlock else 3
    for layer, width in ((1, 64), (2, 128), (3, 256), (4, 512)):
        position = f"before:layer{layer}.{depth - 1}.relu#{calls}"
        assert name_of_norm(network, position, width * expansion) == f"layer{layer}.{depth - 1}.{last}"


def test_of_the_activation_that_timms_batch_norms_hold_it_is_that_one():
    network = build("timm:mobilenetv2_050", num_classes=5)
    for norm, channels in (("blocks.1.1.bn1", 96), ("blocks.1.1.bn2", 96), ("bn2", 1280)):
        assert name_of_norm(network, f"before:{norm}.act", channels) == norm


def test_a_shortcuts_does_not_count_where_it_stands_no_deeper_than_the_others():
    network = build("timm:regnetx_002", num_classes=5)
    for stage, width in ((1, 24), (2, 56), (3, 152), (4, 368)):
        assert name_of_norm(network, f"before:s{stage}.b1.act3", width) == f"s{stage}.b1.conv3.bn"


def test_of_a_block_with_nothing_but_a_shortcuts_it_is_that_one():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.shortcut = nn.Conv2d(3, 6, 1), nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6))

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.conv(x) + self.shortcut(x))

    network = nn.Sequential(Block(), nn.Conv2d(6, 6, 1))
    assert name_of_norm(network, "before:0.relu()", 6) == "0.shortcut.1"


def test_of_equally_wide_groups_each_has_its_own():
    # As in VGG, whose last two groups are both 512 wide.
    features = [
        layer
        for width_in, width in ((3, 4), (4, 6), (6, 6))
        for layer in (
            nn.Conv2d(width_in, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
    ]
    network = nn.Sequential(nn.Sequential(*features), nn.Flatten(), nn.Linear(6 * 4 * 4, 5))
    positions = named_positions(network, "before_relu", IMAGES)
    assert positions == ("before:0.2", "before:0.6", "before:0.10")
    found = [name_of_norm(network, position, width) for position, width in zip(positions, (4, 6, 6), strict=True)]
    assert found == ["0.1", "0.5", "0.9"]


def test_the_one_that_made_it_counts_however_deep_it_stands():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), nn.ReLU())
    assert name_of_norm(network, "before:2", 3) == "1.1"


class Functional(nn.Module):
    """Functional activations; what enters a BatchNorm comes from before it."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.inner = nn.Sequential(nn.Conv2d(6, 6, 1), nn.GroupNorm(2, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.inner(x)).mean(dim=(2, 3))


def test_of_a_functional_activation_it_is_the_one_whose_output_enters():
    network = Functional()
    assert [name_of_norm(network, f"before:relu()#{n}", 6) for n in (1, 2)] == ["bn1", "bn2"]


def test_what_enters_a_batch_norm_was_made_by_one_before_it():
    network = build("wrn16-1", num_classes=5)
    assert name_of_norm(network, "before:block2.layer.0.bn1", 16) == "block1.layer.1.bn2"
    assert name_of_norm(network, "before:block3", 32) == "block2.layer.1.bn2"
    assert name_of_norm(network, "conv1", 16) is None


def test_without_a_batch_norm_of_that_width_there_is_none():
    assert name_of_norm(build("wrn16-1", num_classes=5), "block1", 17) is None
    plain = nn.Sequential(nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6), nn.ReLU(), nn.LayerNorm(30))
    assert name_of_norm(plain, "before:2", 6) is None
    assert name_of_norm(plain, "2", 6) is None


def test_of_what_has_none_itself_it_is_the_nearest_around():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn = nn.BatchNorm2d(6)
            self.conv = nn.Conv2d(6, 6, 1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(self.bn(x))

    network = nn.Sequential(nn.Conv2d(3, 6, 3), Block(), Block(), nn.BatchNorm2d(6))
    assert name_of_norm(network, "1.conv", 6) == "1.bn"
    assert name_of_norm(network, "2", 6) == "2.bn"
    assert name_of_norm(network, "before:3", 6) == "2.bn"
    assert name_of_norm(network, "0", 6) is None
