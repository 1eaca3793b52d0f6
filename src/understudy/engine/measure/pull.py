"""How hard each term pulls at the student, beside the labels: measured on a batch, and set to a ratio."""

import math
import statistics
from collections.abc import Collection, Iterable
from typing import Any

from torch import Tensor

from understudy.distiller import TASK, Distiller
from understudy.precision import Precision
from understudy.spec.sizes import ratio_in_words

Batch = tuple[Tensor, Tensor, Tensor | None]


# For balancing: on a single batch a term that chooses its images may find hardly any, and its weight become too large.
BALANCE_BATCHES = 8
# Of the labels' gradient: below it a term is hardly heard, above it nothing else is.
VANISHING, DROWNING = 1e-4, 100.0


def look(distiller: Distiller, batches: Iterable[Batch], precision: Precision, balance: float | None) -> dict[str, Any]:
    """What the log keeps: the labels' gradient norm, and each term's in units of it, in the mean of the batches.

    With `balance` the terms are first scaled until they are that many times the labels'; their factors are kept too.
    """
    with precision.autocast():
        found = [distiller.gradient_norms(*batch) for batch in batches]
    norms = {name: statistics.fmean(one[name] for one in found) for name in found[0]}
    factors = distiller.rescale(balance, norms) if balance else None
    task = norms.pop(TASK)
    # A weight is a factor of its gradient. Without one, no weight would help.
    balanced = {name: balance if balance and norm else norm / task for name, norm in norms.items()} if task else {}
    return {
        "phase": distiller.phase.name,
        "task": task,
        "relative": {name: balanced.get(name) for name in norms},
        "balanced_by": factors,
    }


def in_words(found: dict[str, Any], clipped: Collection[str] = ()) -> list[str]:
    """'initialise: gradients at the student beside the labels': ab 0.92', and what is wrong with them, if anything.

    Terms that are clipped to the labels' gradient drown nothing, however long theirs is.
    """
    phase, known = found["phase"], {name: ratio for name, ratio in found["relative"].items() if ratio is not None}
    ratios = ", ".join(f"{name} {ratio_in_words(ratio)}" for name, ratio in known.items())
    if not math.isfinite(found["task"]):
        return [f"{phase}: the labels' gradient on the first batch is not finite; `understudy doctor` looks closer"]

    def weight(name: str) -> str:
        return f"terms.{name.removesuffix('_guide')}.weight"

    lines = [f"{phase}: gradients at the student beside the labels': {ratios}"] if ratios else []
    for name, ratio in known.items():
        if ratio == 0.0:
            lines.append(f"{phase}: {name} has no gradient on the first batch; if it stays so it teaches nothing")
        elif not math.isfinite(ratio):
            lines.append(
                f"{phase}: {name}'s gradient on the first batch is not finite; `understudy doctor` looks closer"
            )
        elif ratio > DROWNING and name not in clipped:
            lines.append(f"{phase}: beside {name} nothing else will be heard; --balance 1, or a lower {weight(name)}")
        elif ratio < VANISHING:
            lines.append(f"{phase}: {name} will hardly be heard; --balance 1, or a higher {weight(name)}")
    return lines
