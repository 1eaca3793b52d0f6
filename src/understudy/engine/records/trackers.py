"""What a run logs, sent to experiment trackers as well: TensorBoard, Weights & Biases, MLflow, and accelerate's others.

metrics.jsonl stays the log. A tracker gets the numbers of each of its lines under their names there (steps/terms/kd,
epoch/scores/test/accuracy_pct). A run that goes on is the same one in TensorBoard, Weights & Biases and MLflow.
"""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from understudy.engine.records import folder
from understudy.spec import Settings, nearest

# By what a tracker finds a run again that goes on.
IDS = "trackers.json"
PROJECT = "understudy"
Say = Callable[[str], None]


class Trackers:
    """The trackers of a run: `send` is called with each line of its log."""

    def __init__(self, trackers: Mapping[str, Any], say: Say):
        self.trackers = dict(trackers)
        self.say = say

    def send(self, line: Mapping[str, Any]) -> None:
        """A line's numbers. A tracker that fails is told once and left: the run goes on without it."""
        numbers = numbers_of(line)
        for name, tracker in [*self.trackers.items()]:
            try:
                tracker.log(numbers, step=line.get("step", 0))
            except Exception as error:  # of any package, for any reason: a disk, a network, an account
                del self.trackers[name]
                self.say(f"tracker {name} failed and gets nothing more ({type(error).__name__}: {error})")

    def close(self) -> None:
        for tracker in self.trackers.values():
            with contextlib.suppress(Exception):
                tracker.finish()


def numbers_of(line: Mapping[str, Any]) -> dict[str, float]:
    """{"kind": "steps", "step": 50, "terms": {"kd": 0.1}} -> {"steps/terms/kd": 0.1}."""
    return {name: value for name, value in _numbers(line["kind"], line) if name != f"{line['kind']}/step"}


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}/{key}", inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def check_trackers(names: tuple[str, ...]) -> None:
    """Raises ValueError for a tracker that there is not, with the nearest, and for packages that are missing."""
    if not names:
        return
    if find_spec("accelerate") is None:
        raise ValueError(f"run.trackers={','.join(names)} needs accelerate: pip install accelerate")
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    there = {str(getattr(one, "value", one)) for one in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise ValueError(
                f"run.trackers: there is no tracker {name!r}; there are {', '.join(LOGGER_TYPE_TO_CLASS)}"
                + nearest(name, LOGGER_TYPE_TO_CLASS, cutoff=0.4)
            )
        if name not in there:
            raise ValueError(f"run.trackers={name} needs its package: pip install {name.replace('_', '-')}")


@contextlib.contextmanager
def open_trackers(
    names: tuple[str, ...], settings: Settings, out: Path, first_step: int, say: Say
) -> Iterator[Trackers]:
    """The trackers of these names, from a run's `first_step` on; closed at the end.

    Raises ValueError for one that cannot be opened.
    """
    opened = Trackers({}, say)
    try:
        for name in names:
            opened.trackers[name] = _open(name, settings, out, first_step)
        yield opened
    finally:
        opened.close()


def _open(name: str, settings: Settings, out: Path, first_step: int) -> Any:
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # accelerate's own log wants it
    out = out.resolve()
    ids = json.loads((out / IDS).read_text(encoding="utf-8")) if (out / IDS).exists() else {}
    make = LOGGER_TYPE_TO_CLASS[name]
    try:
        tracker = make(**_beginning(name, out, ids.get(name), first_step))
        tracker.start()
        if first_step == 0:
            _describe(name, tracker, settings)
    except Exception as error:
        raise ValueError(f"run.trackers: {name} does not start ({type(error).__name__}: {error})") from error
    found = _id_of(name, tracker)
    if found is not None and ids.get(name) != found:
        folder.write_json(out / IDS, {**ids, name: found})
    return tracker


def _beginning(name: str, out: Path, known: str | None, first_step: int) -> dict[str, Any]:
    """With what a tracker is opened; `known` is its own name for this run, once it has been opened before."""
    if name == "tensorboard":
        # What was written after the checkpoint is written again.
        again = {"purge_step": first_step + 1 if first_step else 0} if (out / name).exists() else {}
        return {"run_name": name, "logging_dir": str(out), **again}
    if name == "wandb":
        own = known or uuid.uuid4().hex[:12]
        return {"run_name": PROJECT, "name": out.name, "id": own, "resume": "allow", "dir": str(out)}
    if name == "mlflow":
        return {"experiment_name": PROJECT, "run_name": out.name, "run_id": known}
    return {"run_name": PROJECT, **({"logging_dir": str(out)} if name == "aim" else {})}


def _describe(name: str, tracker: Any, settings: Settings) -> None:
    """The run's settings, as the tracker has them."""
    flat = {key: value for key, value in folder.flatten(folder.as_plain(settings)).items() if value is not None}
    if name == "tensorboard":
        # As hyperparameters they would be a run of their own there.
        tracker.log({"settings": "\n".join(f"    {key}: {value}" for key, value in flat.items())}, step=0)
    else:
        simple = {key: value if isinstance(value, int | float | str) else str(value) for key, value in flat.items()}
        tracker.store_init_configuration(simple)


def _id_of(name: str, tracker: Any) -> str | None:
    """By what the tracker knows the run."""
    if name == "wandb":
        return tracker.tracker.id
    return tracker.tracker.info.run_id if name == "mlflow" else None
