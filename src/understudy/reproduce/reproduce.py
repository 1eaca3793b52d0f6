"""A table measured here: its plan, the runs, and what came of them."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from understudy.data import load
from understudy.data.names import data_folder, is_known, unknown
from understudy.engine import facts
from understudy.experiments import Table
from understudy.experiments.grid import metric_name
from understudy.processes import is_launched
from understudy.reproduce.cluster import on_ray
from understudy.reproduce.job import Job, Outcome, log_of
from understudy.reproduce.measured import ENDINGS, Measured
from understudy.reproduce.plan import Run, plan, tidy
from understudy.reproduce.pool import Pool, in_this_process
from understudy.reproduce.processes import in_processes
from understudy.reproduce.quick import quick_table
from understudy.reproduce.schedule import Schedule
from understudy.reproduce.show import plan_grid, plan_sum
from understudy.spec import check_folder, nearest


def reproduce(
    table: Table,
    *,
    runs: Path,
    results: Path,
    console: Console,
    seeds: Sequence[int] = (0,),
    teacher_weights: Path | None = None,
    num_workers: int | None = None,
    ray: str | None = None,
    minutes: float | None = None,
    form: str = "markdown",
    teacher_cache: Path | None = None,
    is_download: bool = False,
    is_quick: bool = False,
    is_dry_run: bool = False,
) -> bool:
    """Carry out the runs that these rows need, keeping each number as soon as it is there; True when all are there.

    Finished runs are only read, and those that were stopped go on. After `minutes` those under way save and stop. Runs
    of one seed share the teacher's answers in the folder `teacher_cache`. `is_download` fetches data sets that are not
    there.
    """
    if is_launched():
        raise ValueError("reproduce starts processes of its own: leave out torchrun, and give --workers N")
    if form not in ENDINGS:
        raise ValueError(f"found format {form!r}, expected {', '.join(ENDINGS)}{nearest(form, ENDINGS)}")
    if not is_dry_run:
        for place in (runs, results):
            check_folder(place)
    until = None if minutes is None else time.time() + 60 * minutes
    if is_quick:
        table, runs, results = quick_table(table), runs / "quick", results / "quick"
    planned = plan(table, seeds=seeds, runs=tidy(runs), teacher_weights=teacher_weights, is_quick=is_quick)
    if not planned:
        lacking = "; ".join(dict.fromkeys(row.missing for row in table.rows.values() if row.missing))
        raise ValueError(f"none of these rows of {table.name} can be run yet: {lacking}")
    measured = Measured(table, results, is_quick=is_quick)
    console.print(plan_grid(table, planned, measured.estimate))
    console.print(plan_sum(table, planned, measured.estimate, _slots(num_workers, ray)), highlight=False)
    if is_dry_run:
        return True
    _check_data(planned, is_here=ray is None, is_download=is_download)
    news = News(planned, measured, console)
    for run in planned:
        if run.is_finished:
            news.keep(run)
    with _pool(console, num_workers, ray) as pool:
        make_job = _job_maker(until, is_quick, teacher_cache)
        schedule = Schedule(planned, pool, make_job, until=until, tell=news.hear)
        outcomes = schedule.carry_out()
    console.print(measured.show(_fingerprints(planned)))
    news.tell(f"table: {measured.write(form)}")
    return news.tell_what_is_missing(outcomes)


def _check_data(planned: Sequence[Run], *, is_here: bool, is_download: bool) -> None:
    """ValueError for a data set that nobody knows, and where none is there, before a teacher of the rows is trained.

    Those that are to be fetched are fetched now: processes that start at once would do it into one folder. On a cluster
    the data lie where the runs go.
    """
    names = dict.fromkeys(str(run.settings["data.name"]) for run in planned if not run.is_finished)
    missing = []
    for name in names:
        if not is_known(name, data_folder()):
            raise unknown(name, data_folder())
        try:
            if is_here or is_download:
                load(name, download=is_download)
        except ValueError as error:
            missing.append(error)
    # Rows of the sets that are there are carried out; the others say in their turn what is missing.
    if missing and len(missing) == len(names):
        raise missing[0]


def _slots(num_workers: int | None, ray: str | None) -> int:
    """Through how many the time is divided: machines, or devices. Processes on one processor share what it can do."""
    wanted = num_workers or 1
    return wanted if ray is not None else max(1, min(wanted, torch.cuda.device_count()))


def _pool(console: Console, num_workers: int | None, ray: str | None) -> contextlib.AbstractContextManager[Pool]:
    if ray is not None:
        return on_ray(ray, num_workers)
    return in_processes(num_workers) if num_workers and num_workers > 1 else in_this_process(console)


def _job_maker(until: float | None, is_quick: bool, teacher_cache: Path | None) -> Callable[[Run], Job]:
    place = Path.cwd()

    def make(run: Run) -> Job:
        settings = run.settings if teacher_cache is None else _with_cache(run.settings, teacher_cache)
        return Job(settings=settings, folder=run.folder, place=place, until=until, is_quick=is_quick)

    return make


def _with_cache(settings: Mapping[str, object], teacher_cache: Path) -> Mapping[str, object]:
    """With the folder of the teacher's answers, unless the run has its own, or images that no other run sees."""
    if "teacher.weights" not in settings or settings.get("data.mixup") or settings.get("data.cutmix"):
        return settings
    return {"run.teacher_cache": str(teacher_cache), **settings}


def _fingerprints(planned: Sequence[Run]) -> set[str | None]:
    """Of the teachers' files that are there; None is that of runs without a teacher."""
    files = {str(run.settings["teacher.weights"]) for run in planned if "teacher.weights" in run.settings}
    return {None, *(facts.sha256(Path(file)) for file in files if Path(file).exists())}


class News:
    """Says how the runs go on, each thing once, and keeps the numbers of those that are finished."""

    def __init__(self, planned: Sequence[Run], measured: Measured, console: Console):
        self.planned, self.measured, self.console = planned, measured, console
        self.said: set[str] = set()
        self.without_number: list[str] = []

    def hear(self, run: Run, outcome: Outcome | None) -> None:
        """An attempt at the run begins (None) or has ended."""
        if outcome is None:
            self.tell(f"{run.name}: starts")
        elif outcome.kind == "done":
            self.keep(run)
        elif outcome.kind == "busy":
            self.tell(f"{run.name}: another process is at it ({log_of(run.folder)}); its end is waited for")
        else:
            self.tell(f"{run.name}: {outcome.kind}: {outcome.reason}")

    def keep(self, run: Run) -> None:
        if not run.rows:
            self.tell(f"{run.name}: finished")
            return
        for name, value in self.measured.keep(run).items():
            row = self.measured.table.rows[name]
            if value is None:
                self.without_number.append(f"{name}, seed {run.seed}: {run.folder} measured no {row.metric}")
            else:
                beside = "" if row.published is None else f", published {row.published_in_words}"
                self.tell(f"{name}, seed {run.seed}: {metric_name(row.metric)} {value:.2f} %{beside}")

    def tell_what_is_missing(self, outcomes: dict[Path, Outcome]) -> bool:
        """Say what failed and why, and what was left; True where there is nothing to say."""
        failed = [run for run in self.planned if outcomes[run.folder].kind == "failed"]
        left = [run for run in self.planned if outcomes[run.folder].kind == "stopped"]
        for run in failed:
            log = f" ({log_of(run.folder)})" if log_of(run.folder).exists() else ""
            self.tell(f"failed: {run.name}: {outcomes[run.folder].reason}{log}")
        for line in self.without_number:
            self.tell(f"failed: {line}")
        if left:
            self.tell(f"{len(left)} of {len(self.planned)} runs are left; the same command goes on with them")
        return not (failed or left or self.without_number)

    def tell(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.console.print(text, highlight=False, soft_wrap=True, markup=False)
