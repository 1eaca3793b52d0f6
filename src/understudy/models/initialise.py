"""Random weights.

He, Zhang, Ren & Sun, "Delving Deep into Rectifiers", ICCV 2015, section 2.2.
"""

import math
from typing import Literal

from torch import nn


def he_normal(network: nn.Module, fan: Literal["in", "out"]) -> None:
    """Fill convolutions from N(0, 2 / fan), in the network's order, from torch's global generator; biases with 0.

    The fan counts the weights of one input channel or output channel: of all groups together where there are groups.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            channels = module.in_channels if fan == "in" else module.out_channels
            nn.init.normal_(module.weight, std=math.sqrt(2.0 / (math.prod(module.kernel_size) * channels)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
