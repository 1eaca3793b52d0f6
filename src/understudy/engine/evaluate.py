"""How often a network is right."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from understudy.data import Dataset, Images, batches_in_order
from understudy.engine.precision import Precision


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Shares in per cent, the mean cross-entropy in nats, and images per second."""

    accuracy_pct: float
    loss: float
    num_images: int
    images_per_s: float

    @property
    def error_pct(self) -> float:
        return 100.0 - self.accuracy_pct


@torch.no_grad()
def evaluate(network: nn.Module, images: Images, data: Dataset, precision: Precision, batch_size: int = 128) -> Scores:
    """Top-1 accuracy over all of `images`, in order, in evaluation mode; the network's mode is put back."""
    was_training = network.training
    network.eval()
    right = torch.zeros((), dtype=torch.long, device=precision.device)
    loss = torch.zeros((), dtype=torch.float64, device=precision.device)
    started = time.perf_counter()
    for batch, labels in batches_in_order(
        images, data, batch_size=batch_size, device=precision.device, channels_last=precision.channels_last
    ):
        with precision.autocast():
            logits = network(batch).float()
        right += (logits.argmax(dim=1) == labels).sum()
        loss += F.cross_entropy(logits, labels, reduction="sum").double()
    network.train(was_training)
    num_right, total_loss = int(right), float(loss)
    return Scores(
        accuracy_pct=100.0 * num_right / len(images),
        loss=total_loss / len(images),
        num_images=len(images),
        images_per_s=len(images) / (time.perf_counter() - started),
    )
