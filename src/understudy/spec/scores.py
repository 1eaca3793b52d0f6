"""What a score is called: names as they stand in files, and as a reader wants them."""

import re


def title(name: str) -> str:
    """'accuracy_pct' as 'accuracy %', 'recall_at_1_pct' as 'recall@1 %', 'map_pct' as 'mAP %'."""
    words = re.sub(r"_at_(\d+)", r"@\1", name.removesuffix("_pct")).replace("_", " ").replace("map", "mAP")
    return f"{words} %" if name.endswith("_pct") else words


def in_words(name: str, scores: dict[str, float]) -> str:
    """'accuracy 93.21 %'."""
    unit = " %" if name.endswith("_pct") else ""
    return f"{title(name).removesuffix(' %')} {scores[name]:.2f}{unit}"
