"""Classification: one label for an image, and how often a network is right."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from understudy.data import Dataset, Images, batches_in_order
from understudy.distiller import cross_entropy
from understudy.modes import evaluating
from understudy.precision import Precision
from understudy.tasks.task import Objective, Task, refuse_boxes


@torch.no_grad()
def evaluate(
    network: nn.Module, images: Images, data: Dataset, precision: Precision, batch_size: int | None = None
) -> dict[str, float]:
    """Top-1 accuracy, both errors (in per cent) and the mean cross-entropy (in nats) over all of `images`.

    Of five classes or fewer there is no top-5 error. In evaluation mode; the network's mode is put back.
    """
    right, among_five = (torch.zeros((), dtype=torch.long, device=precision.device) for _ in range(2))
    loss = torch.zeros((), dtype=torch.float64, device=precision.device)
    batches = batches_in_order(
        images, data, batch_size=batch_size, device=precision.device, channels_last=precision.channels_last
    )
    with evaluating(network):
        for batch, labels in batches:
            with precision.autocast():
                logits = network(batch).float()
            right += (logits.argmax(dim=1) == labels).sum()
            five = logits.topk(min(5, logits.shape[1])).indices
            among_five += (five == labels[:, None]).any(dim=1).sum()
            loss += F.cross_entropy(logits, labels, reduction="sum").double()
    accuracy_pct = 100.0 * int(right) / len(images)
    return {
        "accuracy_pct": accuracy_pct,
        "error_pct": 100.0 - accuracy_pct,
        **({"top5_error_pct": 100.0 - 100.0 * int(among_five) / len(images)} if data.num_classes > 5 else {}),
        "loss": float(loss) / len(images),
    }


def _check_data(data: Dataset) -> None:
    refuse_boxes(data)
    if data.disjoint:
        raise ValueError(
            f"{data.name} tests on classes that are not trained on, which nobody can classify; embeddings are "
            f"searched: add retrieval.loss=cross_entropy, or choose the set that is divided by image"
        )


def _check_output(role: str, output: Any, data: Dataset) -> None:
    """A teacher may know other classes: terms that compare its logits with the student's say so themselves."""
    found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    is_logits = isinstance(output, Tensor) and output.ndim == 2
    if not is_logits or (role == "student" and found != (1, data.num_classes)):
        raise ValueError(
            f"the {role} answers {found} to one image, expected (1, {data.num_classes}): "
            f"one logit for each class of {data.name}; wrap a network that answers anything else so that it answers "
            f"these alone"
        )


def _make_objective(student: nn.Module, example: Tensor, data: Dataset) -> Objective:
    return cross_entropy


def _can_measure(output: Any, data: Dataset) -> bool:
    return output.shape[1] == data.num_classes


CLASSIFICATION = Task(
    name="classification",
    headline="accuracy_pct",
    check_data=_check_data,
    check_output=_check_output,
    can_measure=_can_measure,
    make_objective=_make_objective,
    measure=evaluate,
    is_mean=True,
)
