"""Times of several things measured against each other: in alternating blocks, so that what the machine does meanwhile
falls on all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


def block(step: Callable[[], Any], num_steps: int, device: torch.device) -> float:
    """Seconds per step over one block."""
    started = time.perf_counter()
    for _ in range(num_steps):
        step()
    wait_for(device)
    return (time.perf_counter() - started) / num_steps


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def alternate(
    steps: Mapping[str, Callable[[], Any]], *, blocks: int, num_steps: int, device: torch.device
) -> dict[str, list[float]]:
    """Name -> seconds per step in each block; the blocks of all names follow each other in turn."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(blocks):
        for name, step in steps.items():
            times[name].append(block(step, num_steps, device))
    return times


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float | int]:
    """Median, smallest, largest, and of how many, to `digits` figures."""
    return {
        "median": figures(statistics.median(values), digits),
        "min": figures(min(values), digits),
        "max": figures(max(values), digits),
        "n": len(values),
    }


def ratios(over: Sequence[float], under: Sequence[float]) -> dict[str, float | int]:
    """The spread of the pairs' ratios."""
    return spread([one / other for one, other in zip(over, under, strict=True)])


def figures(value: float, digits: int = 4) -> float:
    """Rounded to so many figures."""
    return float(f"{value:.{digits}g}")


def slope(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The exponent p of the fit times = c sizes^p: least squares in logarithms."""
    return float(
        statistics.linear_regression(
            [torch.tensor(size).log().item() for size in sizes], [torch.tensor(one).log().item() for one in times]
        ).slope
    )
