"""How hard each term pulls at the student, beside the labels: measured on a batch, and set to a ratio."""

import math
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


def in_words(found: dict[str, Any]) -> list[str]:
    """'initialise: gradients at the student beside the labels': ab 0.92', and what is wrong with them, if anything."""
    phase, known = found["phase"], {name: ratio for name, ratio in found["relative"].items() if ratio is not None}
    ratios = ", ".join(f"{name} {ratio:.2g}" for name, ratio in known.items())
    if not math.isfinite(found["task"]):
        return [f"{phase}: the labels' gradient on the first batch is not finite; `understudy doctor` looks closer"]
    lines = [f"{phase}: gradients at the student beside the labels': {ratios}"] if ratios else []
    for name, ratio in known.items():
        if ratio == 0.0:
            lines.append(f"{phase}: {name} has no gradient on the first batch; if it stays so it teaches nothing")
        elif not math.isfinite(ratio):
            lines.append(
                f"{phase}: {name}'s gradient on the first batch is not finite; `understudy doctor` looks closer"
            )
    return lines
