"""BN-Inception for 224-pixel images: the student of NST's ImageNet experiments.

Ioffe & Szegedy, "Batch Normalization", ICML 2015, figure 5, in the form of MXNet's `inception-bn` and the NST authors'
code: convolutions have biases, BatchNorms an eps of 2e-5, weights start He normal by fan-in and biases at 0.

Differs from the NST authors' code: no BatchNorm of the input, as images are normalised by the data's constants.

Maps have an eighth, a sixteenth and a 32nd of the image's size; other images than those of 224 pixels work.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from understudy.models.initialise import he_normal

NAME = "bn-inception"
EPS = 2e-5


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    # The bias changes nothing before a BatchNorm; with it the parameters are the 11,295,240 that are quoted.
    return nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2)


def unit(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        conv(in_channels, out_channels, kernel, stride), nn.BatchNorm2d(out_channels, eps=EPS), nn.ReLU()
    )


class Inception(nn.Module):
    """Four branches beside each other: (B, in, H, W) -> (B, sum of their widths, H, W).

    `point` is the 1x1 branch's width, `wide` and `wider` are (reduced, out) of the branches with one and with two
    3x3 convolutions, `projection` is the pooled branch's width.
    """

    def __init__(
        self,
        in_channels: int,
        point: int,
        wide: tuple[int, int],
        wider: tuple[int, int],
        projection: int,
        pool: type[nn.AvgPool2d] | type[nn.MaxPool2d] = nn.AvgPool2d,
    ):
        super().__init__()
        self.point = conv(in_channels, point, 1)
        self.wide = nn.Sequential(unit(in_channels, wide[0], 1), conv(wide[0], wide[1], 3))
        self.wider = nn.Sequential(
            unit(in_channels, wider[0], 1), unit(wider[0], wider[1], 3), conv(wider[1], wider[1], 3)
        )
        # The zeros at the edge count for the average, as in MXNet.
        self.projection = nn.Sequential(pool(3, stride=1, padding=1), conv(in_channels, projection, 1))
        # It works on each channel alone: one for all branches is what one for each would be.
        self.bn = nn.BatchNorm2d(point + wide[1] + wider[1] + projection, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        branches = self.point(x), self.wide(x), self.wider(x), self.projection(x)
        return F.relu(self.bn(torch.cat(branches, dim=1)))


class Reduction(nn.Module):
    """Two branches of stride 2 beside a max-pool of the input: (B, in, H, W) -> (B, widths + in, H / 2, W / 2)."""

    def __init__(self, in_channels: int, wide: tuple[int, int], wider: tuple[int, int]):
        super().__init__()
        self.wide = nn.Sequential(unit(in_channels, wide[0], 1), unit(wide[0], wide[1], 3, stride=2))
        self.wider = nn.Sequential(
            unit(in_channels, wider[0], 1), unit(wider[0], wider[1], 3), unit(wider[1], wider[1], 3, stride=2)
        )
        # Padded as the convolutions are: all have one size, also of odd maps.
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.wide(x), self.wider(x), self.pool(x)), dim=1)


class BNInception(nn.Module):
    """bn-inception: images (B, in_channels, H, W) -> logits (B, num_classes)."""

    # The last of each size from a quarter of the image's down. NST reads in5b.
    taps = {
        "group_end": ("conv2", "in3b", "in4d", "in5b"),
        "before_relu": ("conv2.1", "in3b.bn", "in4d.bn", "in5b.bn"),
        "after_relu": ("conv2", "in3b", "in4d", "in5b"),
        "embedding": ("before:fc",),
    }

    def __init__(self, *, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        self.conv1 = unit(in_channels, 64, 7, stride=2)
        # Without padding, and a last window that reaches over the edge: 112 -> 56 -> 28.
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.reduce2 = unit(64, 64, 1)
        self.conv2 = unit(64, 192, 3)
        self.in3a = Inception(192, 64, (64, 64), (64, 96), 32)
        self.in3b = Inception(256, 64, (64, 96), (64, 96), 64)
        self.in3c = Reduction(320, (128, 160), (64, 96))
        self.in4a = Inception(576, 224, (64, 96), (96, 128), 128)
        self.in4b = Inception(576, 192, (96, 128), (96, 128), 128)
        self.in4c = Inception(576, 160, (128, 160), (128, 160), 128)
        self.in4d = Inception(608, 96, (128, 192), (160, 192), 128)
        self.in4e = Reduction(608, (128, 192), (192, 256))
        self.in5a = Inception(1056, 352, (192, 320), (160, 224), 128)
        self.in5b = Inception(1024, 352, (192, 320), (192, 224), 128, nn.MaxPool2d)
        self.fc = nn.Linear(1024, num_classes)
        he_normal(self, "in")
        nn.init.normal_(self.fc.weight, std=math.sqrt(2.0 / 1024))
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.conv2(self.reduce2(self.pool(self.conv1(images)))))
        x = self.in3c(self.in3b(self.in3a(x)))
        x = self.in4e(self.in4d(self.in4c(self.in4b(self.in4a(x)))))
        return self.fc(self.in5b(self.in5a(x)).mean(dim=(2, 3)))


def from_name(name: str, num_classes: int, in_channels: int) -> BNInception | None:
    """The network called bn-inception; None for another name."""
    return BNInception(num_classes=num_classes, in_channels=in_channels) if name == NAME else None
