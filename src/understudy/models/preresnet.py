"""Pre-activation residual networks with bottlenecks, for 32-pixel images.

He, Zhang, Ren & Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016, section 5 and appendix (ResNet-164,
ResNet-1001); preresnet1001 is the teacher of NST's CIFAR experiments. Details are the authors' code's: the stride is in
the block's first convolution, convolutions start He normal by fan-out, the classifier's bias at 0.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from understudy.models.depth import blocks_per_group
from understudy.models.initialise import he_normal

NAME = re.compile(r"preresnet(\d+)")


class Block(nn.Module):
    """Pre-activated 1x1, 3x3 and 1x1 convolutions and a shortcut: (B, in, H, W) -> (B, 4 inner, H / stride, ...).

    Where the width changes, the shortcut is a 1x1 convolution of the activated input; elsewhere it is the raw input.
    """

    def __init__(self, in_channels: int, inner: int, stride: int):
        super().__init__()
        out_channels = 4 * inner
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, inner, 1, stride=stride, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.shortcut = (
            None if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(active)
        out = F.relu(self.bn2(self.conv1(active)))
        return shortcut + self.conv3(F.relu(self.bn3(self.conv2(out))))


def group(num_blocks: int, in_channels: int, inner: int, stride: int) -> nn.Sequential:
    """The blocks that share one spatial size."""
    rest = [Block(4 * inner, inner, 1) for _ in range(num_blocks - 1)]
    return nn.Sequential(Block(in_channels, inner, stride), *rest)


class PreResNet(nn.Module):
    """preresnetDEPTH: images (B, in_channels, H, W) -> logits (B, num_classes).

    The depth counts the convolutions of the longest path and the classifier: 9 n + 2 with n blocks in each group.
    """

    # A group ends in a sum that no ReLU follows: it is read through the BatchNorm that comes next, as in a wide
    # residual network.
    taps = {
        "group_end": ("layer1", "layer2", "layer3"),
        "before_relu": ("layer2.0.bn1", "layer3.0.bn1", "bn"),
        "after_relu": ("layer2.0.relu()#1", "layer3.0.relu()#1", "relu()"),
        "embedding": ("before:fc",),
    }

    def __init__(self, *, depth: int, num_classes: int = 10, in_channels: int = 3):
        super().__init__()
        num_blocks = blocks_per_group("a pre-activation ResNet", depth, layers=9, others=2)
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.layer1 = group(num_blocks, 16, 16, 1)
        self.layer2 = group(num_blocks, 64, 32, 2)
        self.layer3 = group(num_blocks, 128, 64, 2)
        self.bn = nn.BatchNorm2d(256)
        self.fc = nn.Linear(256, num_classes)
        he_normal(self, "out")
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(images))))
        return self.fc(F.relu(self.bn(x)).mean(dim=(2, 3)))


def from_name(name: str, num_classes: int, in_channels: int) -> PreResNet | None:
    """The network called preresnetDEPTH; None for a name of another form."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    return PreResNet(depth=int(match[1]), num_classes=num_classes, in_channels=in_channels)
