"""The plan, as it is shown before anything runs."""

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass

from rich.table import Table as Grid

from understudy.experiments import Table
from understudy.reproduce.plan import Run
from understudy.spec import few

MOST_NAMES = 4


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run takes: as measured before, or from its networks' products alone."""

    seconds: float
    is_measured: bool


def plan_grid(table: Table, runs: Sequence[Run], estimate: Callable[[Run], Estimate | None]) -> Grid:
    """One line for each run, and one for all its seeds: which rows it measures, what is finished, what a run takes."""
    grid = Grid("run", "seeds", "finished", "a run takes", title=table.title)
    for same in _over_seeds(runs):
        done = sum(run.is_finished for run in same)
        seeds = " ".join(str(run.seed) for run in same) if same[0].rows else ""
        grid.add_row(_name(same[0]), seeds, f"{done} of {len(same)}", _takes(estimate(same[0])))
    return grid


def plan_sum(table: Table, runs: Sequence[Run], estimate: Callable[[Run], Estimate | None], slots: int) -> str:
    """'19 runs, 3 finished; about 2 h 10 min for 12 of the others, 4 of unknown length'."""
    waiting = [run for run in runs if not run.is_finished]
    known = [taken.seconds for run in waiting if (taken := estimate(run)) is not None]
    words = [f"{_count(table.rows, 'row')}, {_count(runs, 'run')}, {len(runs) - len(waiting)} finished"]
    if known:
        words.append(f"about {roughly(sum(known) / min(slots, len(known)))} for {len(known)} more")
    if len(waiting) > len(known):
        words.append(f"{len(waiting) - len(known)} of unknown length")
    lines = ["; ".join(words)]
    lines += [f"cannot be run yet: {name}: {row.missing}" for name, row in table.rows.items() if row.missing]
    return "\n".join(lines)


def _takes(estimate: Estimate | None) -> str:
    if estimate is None:
        return "unknown"
    return roughly(estimate.seconds) + ("" if estimate.is_measured else ", from products")


def _count(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def roughly(seconds: float) -> str:
    """What an estimate is good for: '45 s', '12 min', '2 h 10 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _over_seeds(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that measure the same rows, together."""
    same: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        same.setdefault(run.rows or (run.name,), []).append(run)
    return list(same.values())


def _name(run: Run) -> str:
    if not run.rows:
        return run.name
    return few(run.rows, MOST_NAMES)
