"""How images come to a network."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Scale:
    """(x - mean) / std in float32, on the device and in the memory layout that are asked for.

    `mean` and `std` are in units of 0..255, one a channel. Raises ValueError for a std that is not above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device | str
    channels_last: bool = False

    def __post_init__(self) -> None:
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0 in every channel, found {self.std}")

    def check(self, channels: int) -> None:
        """ValueError where images have another number of channels."""
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(
                f"mean and std need one entry for each of the {channels} channels, "
                f"found {len(self.mean)} and {len(self.std)}"
            )

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 images (B, C, H, W), wherever they lie."""
        mean_C11, std_C11 = self._constants
        scaled = images.to(self.device, non_blocking=True).float().sub_(mean_C11).div_(std_C11)
        return scaled.to(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)

    @property
    def is_on_cuda(self) -> bool:
        """Whether images have to be copied to a CUDA device, for which pinned memory is faster."""
        return torch.device(self.device).type == "cuda"

    @cached_property
    def _constants(self) -> tuple[Tensor, Tensor]:
        """Both as (C, 1, 1) in float32."""
        mean_C, std_C = (torch.tensor(each, dtype=torch.float32, device=self.device) for each in (self.mean, self.std))
        return mean_C[:, None, None], std_C[:, None, None]
