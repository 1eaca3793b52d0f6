"""A small convolutional network for 8-pixel scans of digits.

Three stages of convolution, BatchNorm and ReLU: at 8x8, 4x4 and 2x2 positions. A demonstration network of our own,
large enough to have activation boundaries worth transferring and small enough to train in seconds.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

NAME = re.compile(r"digits-(\d+)x(\d+)")


def stage(in_channels: int, out_channels: int, depth: int, stride: int) -> nn.Sequential:
    """`depth` times convolution, BatchNorm and ReLU, without the last ReLU."""
    layers: list[nn.Module] = []
    for index in range(depth):
        width = in_channels if index == 0 else out_channels
        step = stride if index == 0 else 1
        layers += [
            nn.Conv2d(width, out_channels, 3, stride=step, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers[:-1])


class DigitsNet(nn.Module):
    """digits-DEPTHxWIDTH: (B, in_channels, H, W) -> logits (B, num_classes), `depth` layers in each of three stages."""

    def __init__(self, *, depth: int, width: int, num_classes: int = 10, in_channels: int = 1):
        super().__init__()
        if depth < 1 or width < 1:
            raise ValueError(f"digits-DEPTHxWIDTH needs 1 or more of each, found {depth} and {width}")
        self.stage1 = stage(in_channels, width, depth, 1)
        self.stage2 = stage(width, 2 * width, depth, 2)
        self.stage3 = stage(2 * width, 4 * width, depth, 2)
        self.fc = nn.Linear(4 * width, num_classes)
        self.taps = {
            "group_end": ("stage1", "stage2", "stage3"),
            "before_relu": ("stage1", "stage2", "stage3"),
            "after_relu": ("relu()#1", "relu()#2", "relu()#3"),
            "embedding": ("before:fc",),
        }

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.stage1(images))
        x = F.relu(self.stage2(x))
        x = F.relu(self.stage3(x))
        return self.fc(x.mean(dim=(2, 3)))


def from_name(name: str, num_classes: int, in_channels: int) -> DigitsNet | None:
    """The network called digits-DEPTHxWIDTH; None for a name of another form."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    depth, width = int(match[1]), int(match[2])
    return DigitsNet(depth=depth, width=width, num_classes=num_classes, in_channels=in_channels)
