"""The planned runs in their order, as many at once as there is place for."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

from understudy.reproduce.job import Job, Outcome, failed_before
from understudy.reproduce.plan import Run
from understudy.reproduce.pool import Pool

LOOK_EVERY_S = 1.0
ATTEMPTS = 2


class Schedule:
    """Runs that wait, are under way, and have ended, by their folders.

    A run waits for those that it needs, and to its end where another process holds it. One that fails is tried once
    more, after the others; one whose loss became infinite the last time is not. `tell` hears of each attempt's start
    (None) and end.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        pool: Pool,
        make_job: Callable[[Run], Job],
        *,
        until: float | None,
        tell: Callable[[Run, Outcome | None], None],
    ):
        failed = {run.folder: failed_before(run.folder) for run in runs if not run.is_finished}
        self.waiting = [run for run in runs if failed.get(run.folder) == ""]
        self.ended = {run.folder: Outcome(kind="done") for run in runs if run.is_finished}
        self.ended |= {place: Outcome(kind="failed", reason=reason) for place, reason in failed.items() if reason}
        self.under_way: dict[Future[Outcome], Run] = {}
        self.attempts: Counter[Path] = Counter()
        self.not_before: dict[Path, float] = {}
        self.pool, self.make_job, self.until, self.tell = pool, make_job, until, tell
        self.is_stopping = False

    def carry_out(self) -> dict[Path, Outcome]:
        """The last outcome of every run."""
        while self.waiting or self.under_way:
            self._stop_if_asked()
            self._give_up_what_cannot_start()
            self._start()
            self._collect()
        return self.ended

    def _stop_if_asked(self) -> None:
        is_late = self.until is not None and time.time() >= self.until
        if is_late or self.pool.is_asked():
            for run in self.waiting:
                self.ended[run.folder] = Outcome(kind="stopped", reason="left for the next time")
            self.waiting = []
        if self.pool.is_asked() and not self.is_stopping:
            self.is_stopping = True
            self.pool.stop()

    def _give_up_what_cannot_start(self) -> None:
        for run in list(self.waiting):
            kinds = {self.ended[needed].kind for needed in run.needs if needed in self.ended} - {"done"}
            if kinds:
                self.waiting.remove(run)
                reason = "what it needs failed" if "failed" in kinds else "what it needs is not finished"
                self.ended[run.folder] = Outcome(kind="failed" if "failed" in kinds else "stopped", reason=reason)

    def _start(self) -> None:
        for run in list(self.waiting):
            can_start = all(needed in self.ended for needed in run.needs)
            if len(self.under_way) < self.pool.slots and can_start and self._is_due(run):
                self.waiting.remove(run)
                self.tell(run, None)
                self.under_way[self.pool.submit(self.make_job(run))] = run

    def _is_due(self, run: Run) -> bool:
        return time.time() >= self.not_before.get(run.folder, 0.0)

    def _collect(self) -> None:
        """Wait a little for a run to end, and see how it did."""
        if not self.under_way:
            time.sleep(LOOK_EVERY_S if self.waiting else 0.0)
            return
        for future in wait(self.under_way, LOOK_EVERY_S, FIRST_COMPLETED).done:
            run, outcome = self.under_way.pop(future), _outcome(future)
            self.attempts[run.folder] += outcome.kind != "busy"
            if outcome.kind == "failed" and self.is_stopping:
                outcome = Outcome(kind="stopped", reason="stopped")
            self.tell(run, outcome)
            if outcome.kind == "busy":
                self.not_before[run.folder] = time.time() + LOOK_EVERY_S
                self.waiting.append(run)
            elif outcome.kind == "failed" and self.attempts[run.folder] < ATTEMPTS:
                self.waiting.append(run)
            else:
                self.ended[run.folder] = outcome


def _outcome(future: Future[Outcome]) -> Outcome:
    """What came of the attempt, also where the worker is lost with it."""
    try:
        return future.result()
    except Exception as error:
        return Outcome(kind="failed", reason=f"{type(error).__name__}: {error}")
