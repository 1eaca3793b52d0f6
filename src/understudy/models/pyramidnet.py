"""Pyramidal residual networks for 32-pixel images.

Han, Kim & Kim, "Deep Pyramidal Residual Networks", CVPR 2017, section 2 (additive widening, zero-padded shortcuts).
pyramidnetDEPTH-ALPHA-basic or -bottleneck: OFD's teacher is 200-240-bottleneck, its student 110-84-basic.

Layers carry the names of the OFD authors' code. Rounding and initialisation are the PyramidNet authors': widths are
rounded half up, convolutions start He normal by fan-out, the classifier's bias at 0.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from understudy.models.depth import blocks_per_group
from understudy.models.initialise import he_normal

NAME = re.compile(r"pyramidnet(\d+)-(\d+)(?:-(basic|bottleneck))?")


def shortcut(x: Tensor, channels: int, stride: int) -> Tensor:
    """The block's input averaged over stride x stride positions, with zeros for the channels that are new."""
    if stride > 1:
        x = F.avg_pool2d(x, stride, ceil_mode=True)
    return x if x.shape[1] == channels else F.pad(x, (0, 0, 0, 0, 0, channels - x.shape[1]))


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut: (B, in, H, W) -> (B, width, H / stride, W / stride).

    There is no ReLU before the first convolution, and none after the sum.
    """

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        self.stride = stride
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn2(self.conv1(self.bn1(x))))
        out = self.bn3(self.conv2(out))
        return out + shortcut(x, out.shape[1], self.stride)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut: (B, in, H, W) -> (B, 4 width, H / stride, W / stride).

    There is no ReLU before the first convolution, and none after the sum.
    """

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        self.stride = stride
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn4 = nn.BatchNorm2d(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn2(self.conv1(self.bn1(x))))
        out = self.bn4(self.conv3(F.relu(self.bn3(self.conv2(out)))))
        return out + shortcut(x, out.shape[1], self.stride)


class PyramidNet(nn.Module):
    """pyramidnetDEPTH-ALPHA-BLOCK: images (B, in_channels, H, W) -> logits (B, num_classes).

    The depth is 6 n + 2 with basic blocks and 9 n + 2 with bottlenecks, n blocks in each group. From 16 the width grows
    by alpha in equal steps, one a block.
    """

    def __init__(
        self, *, depth: int, alpha: int, bottleneck: bool = False, num_classes: int = 10, in_channels: int = 3
    ):
        super().__init__()
        if alpha < 1:
            raise ValueError(f"a PyramidNet's alpha, by which its width grows, is 1 or more, found {alpha}")
        family = f"a PyramidNet with {'bottlenecks' if bottleneck else 'basic blocks'}"
        num_blocks = blocks_per_group(family, depth, layers=9 if bottleneck else 6, others=2)
        block, expansion = (Bottleneck, 4) if bottleneck else (Basic, 1)
        # 16 + alpha j / 3 n after block j of 3 n, in whole numbers so that halves are exactly halves.
        widths = [16 + (2 * alpha * j + 3 * num_blocks) // (6 * num_blocks) for j in range(1, 3 * num_blocks + 1)]
        enters = [16, *(expansion * width for width in widths)]
        blocks = [
            block(enters[j], width, 2 if j in (num_blocks, 2 * num_blocks) else 1) for j, width in enumerate(widths)
        ]
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*blocks[:num_blocks])
        self.layer2 = nn.Sequential(*blocks[num_blocks : 2 * num_blocks])
        self.layer3 = nn.Sequential(*blocks[2 * num_blocks :])
        self.bn_final = nn.BatchNorm2d(enters[-1])
        self.fc = nn.Linear(enters[-1], num_classes)
        he_normal(self, "out")
        nn.init.zeros_(self.fc.bias)
        self.taps = bottleneck_taps() if bottleneck else basic_taps(num_blocks)

    def forward(self, images: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(images)))))
        return self.fc(F.relu(self.bn_final(x)).mean(dim=(2, 3)))


def bottleneck_taps() -> dict[str, tuple[str, ...]]:
    """As OFD: behind the next group's first 1x1 convolution, which has no stride and is the first that meets a ReLU."""
    return {
        "group_end": ("layer1", "layer2", "layer3"),
        "before_relu": ("layer2.0.bn2", "layer3.0.bn2", "bn_final"),
        "after_relu": ("layer2.0.relu()#1", "layer3.0.relu()#1", "relu()"),
        "embedding": ("before:fc",),
    }


def basic_taps(num_blocks: int) -> dict[str, tuple[str, ...]]:
    """As OFD: the next group's first BatchNorm, which no ReLU follows; after a ReLU, the last one inside each group."""
    return {
        "group_end": ("layer1", "layer2", "layer3"),
        "before_relu": ("layer2.0.bn1", "layer3.0.bn1", "bn_final"),
        "after_relu": (f"layer1.{num_blocks - 1}.relu()", f"layer2.{num_blocks - 1}.relu()", "relu()"),
        "embedding": ("before:fc",),
    }


def from_name(name: str, num_classes: int, in_channels: int) -> PyramidNet | None:
    """The network called pyramidnetDEPTH-ALPHA-BLOCK; None for a name of another form."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    if match[3] is None:
        raise ValueError(f"{name} does not say which blocks: {name}-basic or {name}-bottleneck")
    return PyramidNet(
        depth=int(match[1]),
        alpha=int(match[2]),
        bottleneck=match[3] == "bottleneck",
        num_classes=num_classes,
        in_channels=in_channels,
    )
