"""Residual networks for 32-pixel images, activated after the sum.

He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2. Where the width changes,
the shortcut is a 1x1 convolution with BatchNorm (the paper's option B: resnet26), or every second position with zeros
for the new channels (its option A: resnet26-a). The paper's own CIFAR networks have option A, the networks of OFD and
FT option B, those of BSS option A.

Layers carry the names of the BSS authors' checkpoints (conv1, bn1, layer1.0.conv1, ..., linear). As in their code and
OFD's, convolutions start He normal by fan-out, the classifier as PyTorch does. Networks for ImageNet are others:
torchvision:resnet50.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from understudy.models.depth import blocks_per_group
from understudy.models.initialise import he_normal

NAME = re.compile(r"resnet(\d+)(-a)?")


class Block(nn.Module):
    """Two 3x3 convolutions, a shortcut, and a ReLU of their sum: (B, in, H, W) -> (B, out, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, projects: bool):
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = None
        if projects and in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = self._padded(x, out.shape[1]) if self.shortcut is None else self.shortcut(x)
        return F.relu(out + shortcut)

    def _padded(self, x: Tensor, channels: int) -> Tensor:
        if x.shape[1] == channels:
            return x
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, channels - x.shape[1]))


def group(num_blocks: int, in_channels: int, out_channels: int, stride: int, *, projects: bool) -> nn.Sequential:
    """The blocks that share one spatial size."""
    first = Block(in_channels, out_channels, stride, projects=projects)
    rest = [Block(out_channels, out_channels, 1, projects=projects) for _ in range(num_blocks - 1)]
    return nn.Sequential(first, *rest)


class ResNet(nn.Module):
    """resnetDEPTH[-a]: images (B, in_channels, H, W) -> logits (B, num_classes).

    The depth counts the convolutions of the longest path and the classifier: 6 n + 2 with n blocks in each group.
    """

    def __init__(self, *, depth: int, projects: bool = True, num_classes: int = 10, in_channels: int = 3):
        super().__init__()
        num_blocks = blocks_per_group("a CIFAR ResNet", depth, layers=6, others=2)
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = group(num_blocks, 16, 16, 1, projects=projects)
        self.layer2 = group(num_blocks, 16, 32, 2, projects=projects)
        self.layer3 = group(num_blocks, 32, 64, 2, projects=projects)
        self.linear = nn.Linear(64, num_classes)
        he_normal(self, "out")
        ends = ("layer1", "layer2", "layer3")
        # A group ends in the ReLU of a sum; AB and OFD compare the sums.
        self.taps = {
            "group_end": ends,
            "before_relu": tuple(f"before:{end}.{num_blocks - 1}.relu()#2" for end in ends),
            "after_relu": ends,
            "embedding": ("before:linear",),
        }

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(images)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean(dim=(2, 3)))


def from_name(name: str, num_classes: int, in_channels: int) -> ResNet | None:
    """The network called resnetDEPTH or resnetDEPTH-a; None for a name of another form."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    return ResNet(depth=int(match[1]), projects=match[2] is None, num_classes=num_classes, in_channels=in_channels)
