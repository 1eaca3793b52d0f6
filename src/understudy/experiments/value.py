"""A row's number, read from the summary of a finished run."""

import re
from collections.abc import Mapping
from typing import Any

from understudy.experiments.row import Row

# Metric -> the name under which a summary has it, itself or among its scores.
SCORES = {
    "error_percent": "error_pct",
    "accuracy_percent": "accuracy_pct",
    "final_accuracy_percent": "accuracy_pct",
    "top1_error_percent": "error_pct",
    "top5_error_percent": "top5_error_pct",
    "mean_average_precision_percent": "map_pct",
}
RECALL = re.compile(r"recall_at_(\d+)_percent")
LAYERS = {"layer1": 0, "layer2": 1, "layer3": 2}


def value_of(row: Row, summary: Mapping[str, Any]) -> float | None:
    """The row's metric in per cent; None where the summary has no such number."""
    if row.metric == "same_activation_percent":
        return _agreement(str(row.keys["layer"]), summary)
    if row.metric == "average_precision_percent":
        return _score(f"ap_{row.keys['object_class']}_pct", summary)
    if recall := RECALL.fullmatch(row.metric):
        return _score(f"recall_at_{recall[1]}_pct", summary)
    if row.metric == "validation_error_percent":
        return (summary["validation_scores"] or {}).get("error_pct")
    return _score(SCORES[row.metric], summary)


def _score(name: str, summary: Mapping[str, Any]) -> float | None:
    return summary["scores"].get(name)


def _agreement(layer: str, summary: Mapping[str, Any]) -> float | None:
    """Share of equal signs at one compared layer; they stand in the order of depth."""
    fractions = list((summary.get("agreement") or {}).values())
    place = LAYERS[layer]
    return 100.0 * fractions[place] if place < len(fractions) else None
