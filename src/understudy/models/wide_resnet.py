"""Wide residual networks for 32-pixel images.

Zagoruyko & Komodakis, "Wide Residual Networks", BMVC 2016, section 2 (WRN-d-k, basic blocks, no dropout).

Layers carry the names of the checkpoints in circulation: block1.layer.0.conv1, ..., bn1, fc. As in AB's code,
convolutions start He normal by fan-out, the classifier's bias at 0.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from understudy.models.depth import blocks_per_group
from understudy.models.initialise import he_normal

NAME = re.compile(r"wrn(\d+)-(\d+)")


class Block(nn.Module):
    """Two pre-activated 3x3 convolutions and a shortcut: (B, in, H, W) -> (B, out, H / stride, W / stride).

    Where the width changes, the shortcut is a 1x1 convolution of the activated input; elsewhere it is the raw input.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.convShortcut = (
            None if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(active)
        return shortcut + self.conv2(F.relu(self.bn2(self.conv1(active))))


class Group(nn.Module):
    """The blocks that share one spatial size."""

    def __init__(self, num_blocks: int, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        first = Block(in_channels, out_channels, stride)
        rest = [Block(out_channels, out_channels, 1) for _ in range(num_blocks - 1)]
        self.layer = nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(nn.Module):
    """WRN-depth-width: images (B, in_channels, H, W) -> logits (B, num_classes).

    The depth counts the convolutions of the longest path and the classifier: 6 n + 4 with n blocks in each group.
    """

    # The end of each group; read through the BatchNorm that follows it, before its ReLU, where AB and OFD compare, and
    # after it.
    taps = {
        "group_end": ("block1", "block2", "block3"),
        "before_relu": ("block2.layer.0.bn1", "block3.layer.0.bn1", "bn1"),
        "after_relu": ("block2.layer.0.relu()#1", "block3.layer.0.relu()#1", "relu()"),
        "embedding": ("before:fc",),
    }

    def __init__(self, *, depth: int, width: int, num_classes: int = 10, in_channels: int = 3):
        super().__init__()
        if width < 1:
            raise ValueError(f"a WRN's width is 1 or more, found {width}")
        num_blocks = blocks_per_group("a WRN", depth, layers=6, others=4)
        first, second, third = 16 * width, 32 * width, 64 * width
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.block1 = Group(num_blocks, 16, first, 1)
        self.block2 = Group(num_blocks, first, second, 2)
        self.block3 = Group(num_blocks, second, third, 2)
        self.bn1 = nn.BatchNorm2d(third)
        self.fc = nn.Linear(third, num_classes)
        he_normal(self, "out")
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        x = self.block3(self.block2(self.block1(self.conv1(images))))
        return self.fc(F.relu(self.bn1(x)).mean(dim=(2, 3)))


def from_name(name: str, num_classes: int, in_channels: int) -> WideResNet | None:
    """The network called wrnDEPTH-WIDTH; None for a name of another form."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    depth, width = int(match[1]), int(match[2])
    return WideResNet(depth=depth, width=width, num_classes=num_classes, in_channels=in_channels)
