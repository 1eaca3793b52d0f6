"""MobileNet, the first version.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017, table 1, at
full width: AB's and OFD's student of ResNet-50. Other images than those of 224 pixels work.

Layers carry the names of the AB and OFD authors' checkpoints: model.0.0, ..., fc. Weights start as PyTorch's layers do,
as theirs, but for the classifier of AB's MIT scenes, which is drawn from N(0, 0.01) there.
"""

from torch import Tensor, nn

NAME = "mobilenet-v1"
# Output channels and stride of the depthwise separable convolutions.
SEPARABLE = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def convolution(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """A 3x3 convolution of each channel alone, and a 1x1 convolution of all."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class MobileNet(nn.Module):
    """mobilenet-v1: images (B, in_channels, H, W) -> logits (B, num_classes)."""

    # The last of each size from a quarter of the image's down, as AB and OFD have it.
    taps = {
        "group_end": ("model.3", "model.5", "model.11", "model.13"),
        "before_relu": ("model.3.4", "model.5.4", "model.11.4", "model.13.4"),
        "after_relu": ("model.3", "model.5", "model.11", "model.13"),
        "embedding": ("before:fc",),
    }

    def __init__(self, *, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        layers, width = [convolution(in_channels, 32, 2)], 32
        for out_channels, stride in SEPARABLE:
            layers.append(separable(width, out_channels, stride))
            width = out_channels
        self.model = nn.Sequential(*layers)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.model(images).mean(dim=(2, 3)))


def from_name(name: str, num_classes: int, in_channels: int) -> MobileNet | None:
    """The network called mobilenet-v1; None for another name."""
    return MobileNet(num_classes=num_classes, in_channels=in_channels) if name == NAME else None
