"""AutoLR: how much each block's weights change in an epoch says what its learning rate becomes.

Ro & Choi, "AutoLR: Layer-wise Pruning and Auto-tuning of Learning Rates in Fine-tuning of Deep Networks", AAAI 2021:
early blocks of a network see what all images have in common and should change least, late ones most. Numbers in,
numbers out; the constants are those of the authors' program for In-Shop.

Differs from it: there an epoch that is not sorted well enough is thrown away and trained again at the new rates; here
it counts, and the next one has the new rates. The straight line of the first adjustment rises also where all blocks
change by nearly the same, and a change that is wanted is never below nothing (both go wrong there).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LEAST, MOST = 2.0, 0.4  # of the first line: times the smallest change, and times the largest
STEM = 0.5  # what comes before the first block learns at this part of the first block's rate
THRESHOLD, FALLS_BY, FALLS_TO = 0.94, 0.99, 0.8


def change(now: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    """How far a block's weights have moved: the length of the way in L2, divided by the number of weights; a scalar."""
    squares = torch.stack([(one.detach() - old).float().square().sum() for one, old in zip(now, before, strict=True)])
    return squares.sum().sqrt() / sum(one.numel() for one in now)


def sorting_score(changes: Sequence[float]) -> float:
    """1 where every change is above the one before it, 0 (for n even) where each is below it.

    1 - 2 sum_i |i - a_i| / n^2, a_i the place of the i-th smallest change. Fewer than two are in order.
    """
    if len(changes) < 2:
        return 1.0
    order = sorted(range(len(changes)), key=lambda place: changes[place])
    return 1.0 - 2.0 * sum(abs(i - place) for i, place in enumerate(order)) / len(changes) ** 2


def threshold(epoch: int) -> float:
    """The score that an epoch (from 0) has to reach for the rates to stay; it falls while it is above FALLS_TO."""
    found = THRESHOLD
    for _ in range(epoch):
        found = found * FALLS_BY if found > FALLS_TO else found
    return found


def first_wanted(changes: Sequence[float]) -> list[float]:
    """The changes wanted at the first adjustment: a straight line that rises from block to block."""
    low, high = sorted((LEAST * min(changes), MOST * max(changes)))
    return [low + (high - low) * place / (len(changes) - 1) for place in range(len(changes))]


def later_wanted(changes: Sequence[float]) -> list[float]:
    """The changes wanted later on: from the middle outward, what is out of order goes a step beyond its neighbour.

    The step is what lies between the smallest and the largest change, divided by the number of steps; where a step
    down would leave nothing, half of the neighbour is wanted.
    """
    wanted, step = list(changes), (max(changes) - min(changes)) / (len(changes) - 1)
    middle = len(changes) // 2
    for place in range(middle, 0, -1):
        if wanted[place] < wanted[place - 1]:
            below = wanted[place] - step
            wanted[place - 1] = below if below > 0.0 else wanted[place] / 2
    for place in range(middle, len(changes) - 1):
        if wanted[place] > wanted[place + 1]:
            wanted[place + 1] = wanted[place] + step
    return wanted


def adjusted(rates: Sequence[float], changes: Sequence[float], wanted: Sequence[float]) -> list[float]:
    """The rates at which the changes become the wanted ones, if a change is proportional to its rate.

    lr + (wanted - change) / (change / lr). A block that has not changed keeps its rate: nothing can be said of it.
    """
    return [
        lr + (goal - now) / (now / lr) if now > 0.0 and lr > 0.0 and math.isfinite(now) else lr
        for lr, now, goal in zip(rates, changes, wanted, strict=True)
    ]
