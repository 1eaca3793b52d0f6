"""How hard each term pulls at the student, beside the labels: measured on a batch, and set to a ratio."""

from typing import Any

from torch import Tensor

from understudy.distiller import Distiller
from understudy.precision import Precision

Batch = tuple[Tensor, Tensor, Tensor | None]


def look(distiller: Distiller, batch: Batch, precision: Precision, balance: float | None) -> dict[str, Any]:
    """What the log keeps: the labels' gradient norm, and each term's in units of it.

    With `balance` the terms are first scaled until they are that many times the labels'; their factors are kept too.
    """
    with precision.autocast():
        factors = distiller.balance(balance, *batch) if balance else None
        norms = distiller.gradient_norms(*batch)
    task = norms.pop("task")
    return {
        "phase": distiller.phase.name,
        "task": task,
        "relative": {name: norm / task if task else None for name, norm in norms.items()},
        "balanced_by": factors,
    }


def in_words(found: dict[str, Any]) -> str:
    """'initialise: gradients at the student beside the labels': ab 0.92'; empty where no term was measured."""
    ratios = ", ".join(f"{name} {ratio:.2g}" for name, ratio in found["relative"].items() if ratio is not None)
    return f"{found['phase']}: gradients at the student beside the labels': {ratios}" if ratios else ""
