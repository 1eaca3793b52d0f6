"""Inception with BatchNorm for images of 28 or 32 pixels: the student of NST's CIFAR experiments.

Huang & Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", 2017, section 5.1, after MXNet's
`inception-bn-28-small`. Their code for CIFAR was not released.

Differs from MXNet's: the pool at the end covers the whole map, where theirs is fixed at 7x7 for 28-pixel crops, and
convolutions have no bias, which a BatchNorm takes out again. Weights start as in the authors' code for ImageNet: He
normal by fan-in, biases at 0.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from understudy.models.initialise import he_normal

NAME = "inception-bn-small"
# MXNet's default when the network was written.
EPS = 1e-3


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


class Simple(nn.Module):
    """A 1x1 and a 3x3 convolution beside each other: (B, in, H, W) -> (B, point + wide, H, W)."""

    def __init__(self, in_channels: int, point: int, wide: int):
        super().__init__()
        self.conv1x1 = nn.Conv2d(in_channels, point, 1, bias=False)
        self.conv3x3 = conv3x3(in_channels, wide)
        # It works on each channel alone: one for both branches is what one for each would be.
        self.bn = nn.BatchNorm2d(point + wide, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(torch.cat((self.conv1x1(x), self.conv3x3(x)), dim=1)))


class Down(nn.Module):
    """A 3x3 convolution beside a max-pool of the input: (B, in, H, W) -> (B, wide + in, H / 2, W / 2)."""

    def __init__(self, in_channels: int, wide: int):
        super().__init__()
        self.conv = conv3x3(in_channels, wide, stride=2)
        self.bn = nn.BatchNorm2d(wide, eps=EPS)
        # Padded as the convolution is: both halves have one size, also of odd maps.
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((F.relu(self.bn(self.conv(x))), self.pool(x)), dim=1)


class SmallInception(nn.Module):
    """inception-bn-small: images (B, in_channels, H, W) -> logits (B, num_classes)."""

    # NST reads in5b.
    taps = {
        "group_end": ("in3b", "in4d", "in5b"),
        "before_relu": ("in3b.bn", "in4d.bn", "in5b.bn"),
        "after_relu": ("in3b", "in4d", "in5b"),
        "embedding": ("before:fc",),
    }

    def __init__(self, *, num_classes: int = 10, in_channels: int = 3):
        super().__init__()
        self.conv1 = conv3x3(in_channels, 96)
        self.bn1 = nn.BatchNorm2d(96, eps=EPS)
        self.in3a = Simple(96, 32, 32)
        self.in3b = Simple(64, 32, 48)
        self.in3c = Down(80, 80)
        self.in4a = Simple(160, 112, 48)
        self.in4b = Simple(160, 96, 64)
        self.in4c = Simple(160, 80, 80)
        self.in4d = Simple(160, 48, 96)
        self.in4e = Down(144, 96)
        self.in5a = Simple(240, 176, 160)
        self.in5b = Simple(336, 176, 160)
        self.fc = nn.Linear(336, num_classes)
        he_normal(self, "in")
        nn.init.normal_(self.fc.weight, std=math.sqrt(2.0 / 336))
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(images)))
        x = self.in3c(self.in3b(self.in3a(x)))
        x = self.in4e(self.in4d(self.in4c(self.in4b(self.in4a(x)))))
        return self.fc(self.in5b(self.in5a(x)).mean(dim=(2, 3)))


def from_name(name: str, num_classes: int, in_channels: int) -> SmallInception | None:
    """The network called inception-bn-small; None for another name."""
    return SmallInception(num_classes=num_classes, in_channels=in_channels) if name == NAME else None
