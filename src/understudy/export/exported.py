"""A file that was written, and what is known of it."""

from dataclasses import dataclass
from pathlib import Path

from understudy.export.same_answers import Comparison
from understudy.export.same_boxes import SameBoxes


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An exported file: its format, size, fingerprint, and how its answers compare with the student's."""

    format: str
    file: Path
    num_bytes: int
    sha256: str
    comparison: Comparison | SameBoxes
