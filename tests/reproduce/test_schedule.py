"""The order of the runs, second attempts, and what is left out; with runs that only pretend."""

import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from understudy.reproduce import schedule
from understudy.reproduce.job import Outcome
from understudy.reproduce.plan import Run
from understudy.reproduce.pool import Pool
from understudy.reproduce.schedule import Schedule

DONE = Outcome(kind="done")


def planned(name, needs=None, is_finished=False):
    return Run(
        name=name,
        settings={},
        folder=Path(name),
        needs=(Path(needs),) if needs else (),
        rows=(name,),
        is_finished=is_finished,
    )


@pytest.fixture
def carry_out(monkeypatch):
    """A function from runs, and how their attempts end one after the other, to (order of attempts, last outcomes)."""
    monkeypatch.setattr(schedule, "LOOK_EVERY_S", 0.01)

    def run(*runs, endings=None, asked=lambda started: False, until=None, slots=1):
        endings = {name: iter(outcomes) for name, outcomes in (endings or {}).items()}
        started = []

        def submit(one):
            started.append(one.name)
            future = Future()
            outcome = next(endings[one.name]) if one.name in endings else DONE
            if isinstance(outcome, Outcome):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)
            return future

        pool = Pool(submit=submit, slots=slots, is_asked=lambda: asked(started), stop=lambda: started.append("stop"))
        whole = Schedule(runs, pool, lambda one: one, until=until, tell=lambda *_: None)
        outcomes = whole.carry_out()
        return started, {str(folder): outcome.kind for folder, outcome in outcomes.items()}

    return run


FAILED, BUSY, STOPPED = (Outcome(kind=kind, reason="so it is") for kind in ("failed", "busy", "stopped"))


def test_runs_go_in_order_and_wait_for_their_teacher(carry_out):
    started, outcomes = carry_out(planned("row", needs="teacher"), planned("teacher"), planned("other"))
    assert started == ["teacher", "row", "other"] and set(outcomes.values()) == {"done"}


def test_a_finished_run_is_not_run(carry_out):
    assert carry_out(planned("teacher", is_finished=True), planned("row", needs="teacher"))[0] == ["row"]


def test_a_failed_run_is_tried_once_more_after_the_others(carry_out):
    started, outcomes = carry_out(planned("a"), planned("b"), endings={"a": [FAILED, DONE]})
    assert started == ["a", "b", "a"] and outcomes["a"] == "done"
    started, outcomes = carry_out(planned("a"), planned("b"), endings={"a": [FAILED, RuntimeError("worker lost")]})
    assert started == ["a", "b", "a"] and outcomes == {"a": "failed", "b": "done"}


def test_rows_of_a_failed_teacher_are_given_up_and_others_are_not(carry_out):
    runs = (planned("teacher"), planned("row", needs="teacher"), planned("other"))
    started, outcomes = carry_out(*runs, endings={"teacher": [FAILED, FAILED]})
    assert "row" not in started and outcomes == {"teacher": "failed", "row": "failed", "other": "done"}


def test_a_run_that_another_process_holds_is_waited_for_behind_the_others(carry_out):
    started, outcomes = carry_out(planned("a"), planned("b"), endings={"a": [BUSY, BUSY, BUSY, DONE]})
    assert started[:2] == ["a", "b"] and started.count("a") == 4 and outcomes["a"] == "done"


def test_a_stop_leaves_what_waits_and_stops_what_is_under_way_once(carry_out):
    started, outcomes = carry_out(
        *map(planned, "abc"), endings={"a": [FAILED]}, asked=lambda started: bool(started), slots=1
    )
    assert started.count("stop") == 1 and "c" not in started and outcomes["c"] == "stopped"


def test_nothing_starts_after_the_time_limit(carry_out):
    started, outcomes = carry_out(planned("a"), planned("b"), until=time.time() - 1)
    assert started == [] and set(outcomes.values()) == {"stopped"}


def test_as_many_are_under_way_as_there_are_slots(carry_out):
    assert carry_out(*map(planned, "abcd"), slots=3)[0] == list("abcd")
