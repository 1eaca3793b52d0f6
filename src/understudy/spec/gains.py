"""What one recipe gains on another, seed by seed."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Gain:
    """The mean difference of equal seeds, its deviation (with n - 1), and in how many of the `seeds` it is `better`.

    A seed decides weights, order and augmentation of both, so that a difference varies less than either number.
    """

    mean: float
    deviation: float
    better: int
    seeds: int


def gain_on(own: Mapping[int, float], others: Mapping[int, float], *, less_is_better: bool = False) -> Gain | None:
    """Of numbers by seed; None where the two have fewer than two seeds in common."""
    differences = [own[seed] - others[seed] for seed in own.keys() & others.keys()]
    if len(differences) < 2:
        return None
    return Gain(
        mean=statistics.mean(differences),
        deviation=statistics.stdev(differences),
        better=sum(one < 0 if less_is_better else one > 0 for one in differences),
        seeds=len(differences),
    )
