"""How often a network is right: shares of images, first and among the first five."""

import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from torch import nn

from understudy.data import Augment, Dataset, ImageSet
from understudy.precision import Precision
from understudy.tasks import CLASSIFICATION

PLAIN = Precision(device=torch.device("cpu"), dtype=torch.float32, channels_last=False, compile=False)


@pytest.mark.parametrize("num_classes", [3, 8])
def test_errors_are_scikit_learns(generator, num_classes):
    images = torch.randint(256, (200, 1, 4, 4), dtype=torch.uint8, generator=generator)
    labels = torch.arange(200) % num_classes
    part = ImageSet(images=images, labels=labels, class_names=tuple("abcdefgh"[:num_classes]))
    data = Dataset(name="random", train=part, test=part, mean=(100.0,), std=(70.0,), augment=Augment(pad=1))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes))
    scores = CLASSIFICATION.measure(network, part, data, PLAIN)
    with torch.no_grad():
        logits = network((images.float() - 100) / 70)
    right = logits.argmax(dim=1).eq(labels).float().mean().item()
    assert scores["error_pct"] == pytest.approx(100 * (1 - right), abs=1e-4)
    if num_classes <= 5:
        assert "top5_error_pct" not in scores
    else:
        among = top_k_accuracy_score(labels, logits, k=5, labels=range(num_classes))
        assert scores["top5_error_pct"] == pytest.approx(100 * (1 - among), abs=1e-4)
