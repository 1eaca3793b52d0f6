"""Mixed images and soft labels.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; Yun et al., "CutMix", ICCV 2019; Szegedy et al.,
"Rethinking the Inception Architecture", CVPR 2016 (label smoothing). torchvision's MixUp and CutMix, which mix each
image with the one before it in the shuffled batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from understudy.data.seeds import drawing_from, seed_of


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """`mixup` and `cutmix` are the alphas of their Beta distributions, 0 for none; with both, a step draws one of them.

    `smoothing` spreads so much of each label evenly over all classes.
    """

    num_classes: int
    seed: int
    mixup: float = 0.0
    cutmix: float = 0.0
    smoothing: float = 0.0

    def __call__(self, images: Tensor, labels: Tensor, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) and (B,) -> mixed images and soft labels (B, K) in float32, which sum to one.

        What is drawn depends on seed, epoch and step alone. Where everything is 0, both come back as they are.
        """
        if self._mix is not None:
            layout = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else None
            with drawing_from(seed_of("mixing of epoch", epoch, "step", step, "of seed", self.seed)):
                images, labels = self._mix(images, labels)
            images = images.contiguous(memory_format=layout or torch.contiguous_format)
        elif self.smoothing:
            labels = F.one_hot(labels, self.num_classes).float()
        if self.smoothing:
            labels = labels * (1.0 - self.smoothing) + self.smoothing / self.num_classes
        return images, labels

    @cached_property
    def _mix(self) -> Callable[..., Any] | None:
        # torchvision takes seconds to import: only where images are mixed.
        if not self.mixup and not self.cutmix:
            return None
        from torchvision.transforms import v2

        mixes = [
            kind(alpha=alpha, num_classes=self.num_classes)
            for kind, alpha in ((v2.MixUp, self.mixup), (v2.CutMix, self.cutmix))
            if alpha
        ]
        return v2.RandomChoice(mixes)
