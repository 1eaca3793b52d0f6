"""How far the student's weights have come from where the run began, block by block.

Ro & Choi, AAAI 2021, compare blocks by ||w - w0|| / n, with n weights in the block; beside it stands the change
relative to the weights themselves, ||w - w0|| / ||w0||. Kernels and matrices count; biases and norms' scales do not.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from understudy.models import weights_by_block


class Variation:
    """Remembers the student's weights as they are now, and measures against them."""

    def __init__(self, student: nn.Module):
        own = dict(student.named_parameters())
        self.blocks = {block: [own[name] for name in names] for block, names in weights_by_block(student).items()}
        self.start = {block: [p.detach().clone() for p in weights] for block, weights in self.blocks.items()}

    def restore(self, start: Mapping[str, Sequence[Tensor]]) -> None:
        """Measure against these weights from now on, a block's in its order."""
        for block, weights in start.items():
            for own, other in zip(self.start[block], weights, strict=True):
                own.copy_(other)

    @torch.no_grad()
    def measure(self) -> dict[str, dict[str, float | None]]:
        """Block -> `change` (L2), `per_weight` (of it), and `relative` (None for weights that began as zeros)."""
        if not self.blocks:
            return {}
        pairs = [(self.blocks[block], self.start[block]) for block in self.blocks]
        lengths = torch.stack(
            [
                torch.stack([_length([p - old for p, old in zip(*pair, strict=True)]), _length(pair[1])])
                for pair in pairs
            ]
        )
        return {
            block: {
                "change": moved,
                "per_weight": moved / sum(p.numel() for p in weights),
                "relative": moved / length if length else None,
            }
            for (block, weights), (moved, length) in zip(self.blocks.items(), lengths.tolist(), strict=True)
        }


def _length(tensors: list[Tensor]) -> Tensor:
    """The L2 norm of all the numbers in the tensors together."""
    return torch.stack([one.double().square().sum() for one in tensors]).sum().sqrt()
