"""Trackers get the log's numbers under its names, once, also from a run that was stopped; none of them ends a run."""

import itertools
import json
import math
from types import SimpleNamespace

import pytest

from tests.engine.stopping import stops_after
from understudy.engine import execute, stop
from understudy.engine.display import silent
from understudy.engine.loop import StoppedError
from understudy.engine.records import trackers

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def logged(folder):
    """Name of a number -> its (step, value) in the run's own log."""
    found = {}
    for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        for name, value in trackers.numbers_of(line).items():
            found.setdefault(name, []).append((line["step"], value))
    return found


def on_board(folder):
    """Name of a number -> its (step, value) as TensorBoard reads them, and the text."""
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    numbers = {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}
    text = b"".join(part for one in events.Tags()["tensors"] for part in events.Tensors(one)[0].tensor_proto.string_val)
    return numbers, text.decode()


@pytest.mark.slow
def test_tensorboard_has_every_number_of_the_log(settings, tmp_path):
    execute(settings("ab+kd", "run.trackers=tensorboard", "run.log_every=2"), tmp_path / "run")
    numbers, text = on_board(tmp_path / "run")
    wanted = logged(tmp_path / "run")
    assert numbers.keys() == wanted.keys()
    assert {"steps/terms/kd", "steps/terms/ab", "steps/lr", "epoch/scores/test/accuracy_pct"} <= wanted.keys()
    for name, pairs in wanted.items():
        assert [step for step, _ in numbers[name]] == [step for step, _ in pairs]
        assert [value for _, value in numbers[name]] == pytest.approx([value for _, value in pairs], rel=1e-6)
    assert "method.name: ab+kd" in text and "optim.lr: 0.1" in text


@pytest.mark.slow
def test_a_run_that_goes_on_is_the_same_one_there(settings, tmp_path, monkeypatch):
    words = ("run.trackers=tensorboard", "run.log_every=1", "run.checkpoint_every=4")
    looks = itertools.count()
    # The clock that a run looks at after each step: the time is up at the sixth.
    clock = SimpleNamespace(time=lambda: 0.0 if next(looks) < 5 else math.inf)
    with monkeypatch.context() as limited, pytest.raises(StoppedError):
        limited.setattr(stop, "time", clock)
        execute(settings("kd", *words), tmp_path / "run", until=1.0)
    execute(settings("kd", *words), tmp_path / "run")
    numbers, _ = on_board(tmp_path / "run")
    wanted = logged(tmp_path / "run")
    assert [step for step, _ in numbers["steps/terms/kd"]] == [step for step, _ in wanted["steps/terms/kd"]]


@pytest.mark.slow
def test_a_run_that_begins_again_without_a_checkpoint_is_there_once(settings, tmp_path):
    wanted = settings("kd", "run.trackers=tensorboard", "run.log_every=1")
    with pytest.raises(StoppedError):
        execute(wanted, tmp_path / "run", display=stops_after(5))
    (tmp_path / "run" / "checkpoint.pt").unlink()
    execute(wanted, tmp_path / "run")
    numbers, _ = on_board(tmp_path / "run")
    assert [step for step, _ in numbers["steps/terms/kd"]] == [
        step for step, _ in logged(tmp_path / "run")["steps/terms/kd"]
    ]


@pytest.mark.slow
def test_trackers_change_nothing_and_may_come_and_go(settings, tmp_path):
    tracked = execute(settings("kd", "run.trackers=[tensorboard]"), tmp_path / "tracked")
    plain = execute(settings("kd"), tmp_path / "plain")
    assert tracked.summary["student_sha256"] == plain.summary["student_sha256"]
    execute(settings("kd"), tmp_path / "tracked")
    assert not (tmp_path / "plain" / "tensorboard").exists()


@pytest.mark.slow
def test_a_tracker_that_fails_is_told_once_and_the_run_goes_on(settings, tmp_path, monkeypatch):
    from accelerate.tracking import TensorBoardTracker

    def fails(self, values, step=None, **options):
        if step:
            raise OSError("no space left")

    monkeypatch.setattr(TensorBoardTracker, "log", fails)
    display, said = silent(), []
    display.say = said.append
    execute(settings("kd", "run.trackers=tensorboard", "run.log_every=1"), tmp_path / "run", display=display)
    assert [text for text in said if text.startswith("tracker ")] == [
        "tracker tensorboard failed and gets nothing more (OSError: no space left)"
    ]


def test_what_cannot_be_opened_is_told_before_anything_is_trained(settings, tmp_path, monkeypatch):
    from accelerate.tracking import TensorBoardTracker

    def fails(self):
        raise PermissionError("not yours")

    monkeypatch.setattr(TensorBoardTracker, "start", fails)
    with pytest.raises(ValueError, match=r"tensorboard does not start \(PermissionError: not yours\)"):
        execute(settings("kd", "run.trackers=tensorboard"), tmp_path / "run")
    assert not [line for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines() if "loss" in line]


@pytest.mark.parametrize(
    ("asked", "words"),
    [("tensorbord", "no tracker 'tensorbord'.*nearest: tensorboard"), ("comet_ml", "pip install comet-ml")],
)
def test_an_unknown_tracker_is_a_mistake(settings, tmp_path, asked, words):
    with pytest.raises(ValueError, match=words):
        execute(settings("kd", f"run.trackers={asked}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_accelerate_it_is_said_how_to_get_it(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"run\.trackers=wandb,mlflow needs accelerate: pip install accelerate"):
        execute(settings("kd", "run.trackers=wandb,mlflow"), tmp_path / "run")


class Service:
    """Stands for a service that knows its runs by an id; keeps what it was opened with and what it got."""

    made = []

    def __init__(self, **beginning):
        self.beginning, self.got, self.config = beginning, [], None
        Service.made.append(self)

    def start(self):
        own = self.beginning.get("id") or self.beginning.get("run_id") or "given-by-the-service"
        self.tracker = SimpleNamespace(id=own, info=SimpleNamespace(run_id=own))

    def store_init_configuration(self, values):
        self.config = values

    def log(self, values, step=None):
        self.got.append((step, values))

    def finish(self):
        self.tracker = None


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_services_find_a_run_again_by_its_id(settings, tmp_path, monkeypatch, name):
    from accelerate import tracking

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, name, Service)
    monkeypatch.setattr(Service, "made", [])
    wanted = settings("kd")
    for first_step in (0, 12):
        with trackers.open_trackers((name,), wanted, tmp_path, first_step, print) as opened:
            opened.send({"kind": "steps", "step": first_step + 1, "terms": {"kd": 0.5}, "phase": "train", "done": True})
    first, second = Service.made
    key = {"wandb": "id", "mlflow": "run_id"}[name]
    assert second.beginning[key] == json.loads((tmp_path / "trackers.json").read_text())[name]
    assert first.beginning[key] in (None, second.beginning[key])
    assert first.config["method.name"] == "kd" and first.config["epochs"] == "[1, 2]" and second.config is None
    assert second.got == [(13, {"steps/terms/kd": 0.5})] and second.tracker is None
