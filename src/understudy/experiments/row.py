"""One number of a published table, and the run that measures it here."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """`method`, `teacher`, `student` are the table's own keys; `settings` (dotted keys) are our run's.

    `published` is the printed value in the units of `metric`, None where the table has none; `published_epochs` is its
    budget where that is another one than the row's. `epochs_init` is 0 where the method divides `epochs_train` itself.
    """

    method: str
    label: str
    teacher: str
    student: str
    dataset: str
    epochs_init: int
    epochs_train: int
    percent_data: float = 100.0
    metric: str = "error_percent"
    published: float | None
    published_epochs: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
