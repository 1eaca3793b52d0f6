"""What the doctor says: one finding, and which of several are problems."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "fine"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found, why it matters and what to do, a sentence or two each.

    `error`: the run would fail or teach nonsense. `warning`: it would do worse than it could, or its numbers would not
    mean what they seem to. `fine`: looked at, and nothing to do.
    """

    check: str
    severity: Severity
    found: str
    why: str = ""
    do: str = ""

    def __str__(self) -> str:
        """'warning (labels): 2 of 10 classes have no training image. ... -> leave them out'."""
        told = " ".join(part for part in (self.found, self.why) if part)
        return f"{self.severity} ({self.check}): {told}" + (f" -> {self.do}" if self.do else "")

    def as_plain(self) -> dict[str, Any]:
        """As JSON knows it."""
        return asdict(self)


def problems(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, each in the order in which they were found."""
    found = list(findings)
    return [one for severity in ("error", "warning") for one in found if one.severity == severity]
