"""One number of a table and the run that measures it here; a table of such rows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Key = str | int | float
# How what a table's docstring declares begins; it goes on to the end of the paragraph.
DECLARES = re.compile(r"(Differs from|Not known to us)")


def declared(docstring: str | None) -> str:
    """Where our runs differ from the source, and what of it is not known, as the docstring says."""
    paragraphs = [" ".join(part.split()) for part in (docstring or "").split("\n\n")]
    found = [(part, DECLARES.search(part)) for part in paragraphs]
    return " ".join(part[begins.start() :] for part, begins in found if begins)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of a table, and the run that measures it here.

    `keys` are the key columns of the published table in its spelling: method, teacher, student, dataset, percent_data,
    ... `settings` are our run's (dotted keys), without its seed and its teacher's weights; rows with equal settings,
    `teacher` and `start` are read from one run.
    """

    keys: Mapping[str, Key]
    label: str  # as the page shows the row, usually the method
    reading: str = ""  # how it reads the published number's run, where the table has several: "2+10 epochs"
    metric: str = "error_percent"
    published: float | None  # None where the table has none
    published_method: str | None = None  # where the published number is of another method than the row's
    published_budget: str | None = None  # as in "20+100 epochs", where the published number is of another budget
    teacher: str | None = None  # a name of TEACHERS; None: the run needs no teacher
    settings: Mapping[str, object] = field(default_factory=dict)
    # Whose finished weights the student begins with (student.weights): a row, as TABLE/ROW, or a name of TEACHERS.
    start: str | None = None
    missing: str | None = None  # what the run needs that is not there; such a row cannot be run yet

    @property
    def title(self) -> str:
        """The label and the reading."""
        return f"{self.label}, {self.reading}" if self.reading else self.label

    @property
    def published_in_words(self) -> str:
        """'16.39', with the budget where that is another one than ours; '-' where the table has no number."""
        if self.published is None:
            return "-"
        return f"{self.published:.2f}" + (f" ({self.published_budget})" if self.published_budget else "")

    @property
    def less_is_better(self) -> bool:
        """Whether its metric is an error."""
        return "error" in self.metric


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows by path-like name, as in ab+kd/1+5. `across` are the key columns that run across the page."""

    name: str
    title: str
    citation: str
    rows: Mapping[str, Row]
    across: tuple[str, ...]
    notes: str = ""
