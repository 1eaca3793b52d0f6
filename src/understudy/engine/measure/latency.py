"""How long a network takes to answer."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

# The first calls allocate, choose kernels and fill caches.
WARM_UP_CALLS = 5
LEAST_CALLS, MOST_CALLS, ENOUGH_S = 10, 200, 2.0


@dataclass(frozen=True, kw_only=True)
class Latency:
    """The time of one call with `batch_size` images, over `calls` calls with `threads` threads of the processor."""

    batch_size: int
    threads: int
    calls: int
    median_ms: float
    p10_ms: float
    p90_ms: float

    @property
    def images_per_s(self) -> float:
        return 1e3 * self.batch_size / self.median_ms


def measure_latency(call: Callable[[], object], *, batch_size: int, threads: int) -> Latency:
    """Median, 10th and 90th percentile of the time `call` takes, after a warm-up that is not counted.

    Calls go on for two seconds, but there are never fewer than 10 nor more than 200. `call` has finished when it
    returns, as it has on the processor; `batch_size` and `threads` are only noted.
    """
    for _ in range(WARM_UP_CALLS):
        call()
    times_ms: list[float] = []
    while len(times_ms) < LEAST_CALLS or (len(times_ms) < MOST_CALLS and sum(times_ms) < 1e3 * ENOUGH_S):
        started = time.perf_counter()
        call()
        times_ms.append(1e3 * (time.perf_counter() - started))
    deciles = statistics.quantiles(times_ms, n=10, method="inclusive")
    return Latency(
        batch_size=batch_size,
        threads=threads,
        calls=len(times_ms),
        median_ms=deciles[4],
        p10_ms=deciles[0],
        p90_ms=deciles[8],
    )
