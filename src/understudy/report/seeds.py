"""What runs of one recipe came to over several seeds: mean, deviation, and the gain on the student alone."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from understudy.spec.gains import Gain, gain_on

from . import quantities
from .comparable import are_measured_alike, conditions, finished_students
from .table import Row

HEADINGS = ("method", "seeds", "mean, %", "points beside the student alone")


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The finished runs that differ in nothing but their seed, two or more: seed -> its row.

    `alone` are those of the student without a teacher under the same conditions; empty where there are none.
    """

    label: str
    rows: dict[int, Row]
    alone: dict[int, Row]

    @property
    def mean(self) -> float:
        return statistics.mean(_scores(self.rows).values())

    @property
    def deviation(self) -> float:
        """Of a sample: with n - 1."""
        return statistics.stdev(_scores(self.rows).values())

    @property
    def gain(self) -> Gain | None:
        """Points more than the student alone; None where fewer than two seeds have both."""
        return gain_on(_scores(self.rows), _scores(self.alone))

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """As HEADINGS say."""
        return self.label, str(len(self.rows)), in_words(self.mean, self.deviation), gain_in_words(self.gain)


def over_seeds(rows: Sequence[Row]) -> list[Seeds]:
    """One for each recipe that has two seeds or more, in the order of the rows; none where no recipe has."""
    recipes: dict[str, dict[int, Row]] = {}
    for row in finished_students(rows):
        if row.seed is not None and row.recipe:
            recipes.setdefault(row.recipe, {})[row.seed] = row
    several = [found for found in recipes.values() if len(found) > 1]
    labels = _labels([next(iter(found.values())) for found in several])
    return [
        Seeds(label=label, rows=found, alone=_alone(next(iter(found.values())), several))
        for label, found in zip(labels, several, strict=True)
    ]


def best_over_seeds(found: Sequence[Seeds]) -> Seeds | None:
    """The one with the highest mean; None where they were measured by different numbers, or on other images."""
    is_fair = are_measured_alike([row for one in found for row in one.rows.values()])
    return max(found, key=lambda one: one.mean) if is_fair else None


def in_words(mean: float, deviation: float) -> str:
    """'95.38 ± 0.42'."""
    return f"{quantities.percent(mean)} ± {deviation:.2f}"


def gain_in_words(gain: Gain | None) -> str:
    """'+6.20 ± 0.61, better in 5 of 5'; a dash where there is no student alone to compare with."""
    if gain is None:
        return quantities.NOT_MEASURED
    return f"{gain.mean:+.2f} ± {gain.deviation:.2f}, better in {gain.better} of {gain.seeds}"


def _scores(rows: dict[int, Row]) -> dict[int, float]:
    return {seed: row.score for seed, row in rows.items() if row.score is not None}


def _alone(row: Row, recipes: Sequence[dict[int, Row]]) -> dict[int, Row]:
    """The student without a teacher that this one is to be compared with; of several the best."""
    if row.is_alone:
        return {}
    firsts = [(next(iter(found.values())), found) for found in recipes]
    same = [found for first, found in firsts if first.is_alone and conditions(first) == conditions(row)]
    return max(same, key=lambda found: statistics.mean(_scores(found).values()), default={})


def _labels(rows: Sequence[Row]) -> list[str]:
    """The methods' titles; with epochs, and then with a number, where these repeat."""
    plain = [row.method for row in rows]
    with_epochs = [f"{row.method}, {row.epochs} epochs" for row in rows]
    numbered = [f"{label} ({number})" for number, label in enumerate(with_epochs, 1)]
    return [
        next((names[at] for names in (plain, with_epochs) if names.count(names[at]) == 1), numbered[at])
        for at in range(len(rows))
    ]
