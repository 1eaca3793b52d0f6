"""Colours and markers of the charts: told apart without colour vision, readable on light and on dark paper.

A chart is drawn in the light colours. On the page each of them becomes a CSS variable, so that the same
drawing takes the dark ones where the reader prefers dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LIGHT = {
    "ink": "#1d2530",
    "quiet": "#5b6675",
    "grid": "#d9dee5",
    "paper": "#ffffff",
    "series-0": "#0b63b6",
    "series-1": "#c2410b",
    "series-2": "#0a7d62",
    "series-3": "#a0327a",
    "series-4": "#8a6300",
    "series-5": "#4a4fc4",
    "series-6": "#3f7d0a",
}
DARK = {
    "ink": "#e8ecf2",
    "quiet": "#a3afbd",
    "grid": "#38424f",
    "paper": "#171c24",
    "series-0": "#63b0f4",
    "series-1": "#f58b57",
    "series-2": "#41c9a5",
    "series-3": "#e888c4",
    "series-4": "#dfb23f",
    "series-5": "#a3a7f7",
    "series-6": "#94d155",
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
NUM_SERIES = len(MARKERS)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one run is drawn, in every chart."""

    colour: str
    marker: str
    dash: str


def looks(num_runs: int) -> Sequence[Look]:
    """A different look for each run; after seven the colours come again with other marks and lines."""
    dashes = ("-", "--", ":", "-.")
    return [
        Look(
            colour=LIGHT[f"series-{index % NUM_SERIES}"],
            marker=MARKERS[(index + index // NUM_SERIES) % NUM_SERIES],
            dash=dashes[index // NUM_SERIES % len(dashes)],
        )
        for index in range(num_runs)
    ]
