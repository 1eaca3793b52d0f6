"""Times from a clock that is turned by hand."""

import pytest

from understudy.engine.measure import latency
from understudy.engine.measure.latency import LEAST_CALLS, MOST_CALLS, WARM_UP_CALLS, measure_latency


@pytest.fixture
def clock(monkeypatch):
    """A function that lets time pass; nothing else does."""
    now_s = [0.0]
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now_s[0])

    def passes(duration_s):
        now_s[0] += duration_s

    return passes


def test_the_median_and_the_deciles_are_those_of_the_calls_after_the_warm_up(clock):
    # The warm-up takes a minute each; then 0.2, 0.3, ..., 1.2 s, of which ten calls are more than two seconds.
    durations_s = iter([60.0] * WARM_UP_CALLS + [0.2 + 0.1 * index for index in range(11)])
    found = measure_latency(lambda: clock(next(durations_s)), batch_size=4, threads=1)
    assert found.calls == LEAST_CALLS == 10
    assert found.median_ms == pytest.approx(650.0)
    assert (found.p10_ms, found.p90_ms) == (pytest.approx(290.0), pytest.approx(1010.0))
    assert found.images_per_s == pytest.approx(4 / 0.65) and (found.batch_size, found.threads) == (4, 1)


@pytest.mark.parametrize(("call_s", "calls"), [(1e-6, MOST_CALLS), (0.04, 50), (30.0, LEAST_CALLS)])
def test_calls_go_on_for_two_seconds_but_not_too_few_nor_too_many(clock, call_s, calls):
    found = measure_latency(lambda: clock(call_s), batch_size=1, threads=1)
    assert found.calls == pytest.approx(calls, abs=1) and LEAST_CALLS <= found.calls <= MOST_CALLS
    assert found.median_ms == pytest.approx(1e3 * call_s)
