"""Where runs are carried out: in this process, in several, or on a cluster. All three are used in the same way."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from rich.console import Console

from understudy.reproduce.job import Job, Outcome, carry_out


@dataclass(frozen=True, kw_only=True)
class Pool:
    """`submit` carries a job out, `slots` of them at once at the most.

    `is_asked` says whether everything is to stop; `stop` then has the runs under way save and end.
    """

    submit: Callable[[Job], Future[Outcome]]
    slots: int
    is_asked: Callable[[], bool]
    stop: Callable[[], None]


@contextlib.contextmanager
def in_this_process(console: Console) -> Iterator[Pool]:
    """One run after the other, with all that they show. A run that a signal stops is the last one."""
    outcomes: list[Outcome] = []

    def submit(job: Job) -> Future[Outcome]:
        outcomes.append(carry_out(job, console))
        future: Future[Outcome] = Future()
        future.set_result(outcomes[-1])
        return future

    yield Pool(
        submit=submit,
        slots=1,
        is_asked=lambda: any(outcome.kind == "stopped" for outcome in outcomes),
        stop=lambda: None,
    )
