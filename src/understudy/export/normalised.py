"""A network that takes pixels."""

import torch
from torch import Tensor, nn

from understudy.data import Dataset


class Normalised(nn.Module):
    """Pixels (B, C, H, W) in 0..255, uint8 or float -> the network's logits for (pixels - mean) / std."""

    mean_C11: Tensor
    std_C11: Tensor

    def __init__(self, network: nn.Module, data: Dataset):
        super().__init__()
        self.network = network
        self.register_buffer("mean_C11", torch.tensor(data.mean)[:, None, None])
        self.register_buffer("std_C11", torch.tensor(data.std)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network(normalise(pixels, self.mean_C11, self.std_C11))


def normalise(pixels: Tensor, mean_C11: Tensor, std_C11: Tensor) -> Tensor:
    """(x - mean) / std in float32."""
    return (pixels.float() - mean_C11) / std_C11
