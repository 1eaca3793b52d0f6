"""Positions of two networks are paired as if all choices had been tried."""

import itertools
import random

from understudy.taps.positions import Position
from understudy.taps.roles import _log_area, _matched


def positions(sizes):
    return [
        Position(name=f"p{index}", kind="", shape=(2, 3, size, size), image_size=(64, 64), parameters=0, activation="",
                 overwritten=False, is_leaf=True)
        for index, size in enumerate(sizes)
    ]  # fmt: skip


def by_trying_all(fewer, more):
    """The deepest first: of equal sums that is the one that is kept."""
    choices = (tuple(reversed(found)) for found in itertools.combinations(reversed(more), len(fewer)))
    best = min(
        choices,
        key=lambda chosen: sum(abs(_log_area(a) - _log_area(b)) for a, b in zip(fewer, chosen, strict=True)),
    )
    return list(zip(fewer, best, strict=True))


def test_pairs_are_the_nearest_sizes_in_order():
    generator = random.Random(0)
    for _ in range(300):
        more = sorted((generator.choice((4, 8, 16, 32, 64)) for _ in range(generator.randint(2, 8))), reverse=True)
        fewer = sorted(generator.choices((4, 8, 16, 32, 64), k=generator.randint(1, len(more))), reverse=True)
        if any(len(set(sizes)) == 1 < len(sizes) for sizes in (fewer, more)):
            continue
        found = _matched(positions(fewer), positions(more))
        assert [b.name for _, b in found] == [b.name for _, b in by_trying_all(positions(fewer), positions(more))]


def test_many_positions_are_paired_at_once():
    found = _matched(positions([64, 32, 16] * 9), positions([64, 32, 16] * 27))
    # To try all choices, 10^21, would never end.
    assert len(found) == 27
