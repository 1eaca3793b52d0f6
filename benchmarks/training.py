"""Training end to end: images/s as the engine takes a step, against two floors.

The own floor is teacher forward, student forward and backward, optimiser step, on one batch that stays in memory, in
the same precision and compiled alike, with nothing else; the float32 floor is the same in float32, NCHW, uncompiled: by
it, peers' figures from another machine are brought to this one. The whole step adds data, augmentation, positions,
losses, connectors and the record. All three are measured in one process, in alternating blocks.

    python -m benchmarks training:kd [training:ofd training:ab/initialise training:none]
"""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.pair import PAPER, QUICK, Pair, float32, floor, plan_for, random_data, settings_for
from benchmarks.timing import block, ratios, spread, wait_for
from understudy.engine import execute
from understudy.engine.display import silent
from understudy.engine.plan import Plan
from understudy.methods import Phase

STEPS, WARM_UP = 5, 4
# The float32 floor is slow, and steady.
FLOAT32_STEPS = 2

Floors = dict[str, Callable[[], None]]


class Measured(Exception):
    """Everything wanted of a run has been measured."""


class Meter:
    """Times a run of the engine from within: its display calls `step` at the end of each step.

    `floors` has the phases to measure, each with the floors that take their steps between two blocks of the run's own;
    that time is not the run's. Raises Measured after `blocks` blocks of the last one.
    """

    def __init__(self, floors: dict[str, Floors], blocks: int, device: torch.device):
        self.floors = floors
        self.blocks = blocks
        self.device = device
        self.phase, self.steps, self.started = "", 0, 0.0
        self.times: dict[str, dict[str, list[float]]] = {phase: {} for phase in floors}

    def start(self, name: str, num_steps: int, done: int) -> None:
        """A phase begins."""
        self.phase, self.steps = name.strip(), 0

    def step(self) -> None:
        """A step of the run has ended."""
        self.steps += 1
        late = self.steps - WARM_UP
        if self.phase not in self.floors or late < 0 or late % STEPS:
            return
        if late == 0:
            for one in self.floors[self.phase].values():
                block(one, 2, self.device)
        else:
            wait_for(self.device)
            self._add("own", (time.perf_counter() - self.started) / STEPS)
            for name, one in self.floors[self.phase].items():
                self._add(name, block(one, FLOAT32_STEPS if name == "float32_floor" else STEPS, self.device))
        if all(len(times.get("own", ())) == self.blocks for times in self.times.values()):
            raise Measured
        wait_for(self.device)
        self.started = time.perf_counter()

    def _add(self, name: str, seconds: float) -> None:
        self.times[self.phase].setdefault(name, []).append(seconds)


def measure(method: str = "kd", *, pair: Pair = PAPER, quick: bool = False) -> dict[str, Any]:
    """The phases of `method`, or the one named after a slash: images/s, and how many times its floor a step takes."""
    name, _, wanted = method.partition("/")
    pair, blocks = (QUICK, 1) if quick else (pair, 6)
    settings = settings_for(pair, name, "run.log_every=10", compiles=False if quick else None)
    data = random_data(pair, (WARM_UP + STEPS * blocks) * pair.batch_size)
    plan = plan_for(pair, settings, data)
    phases = {phase.name: phase for phase in plan.method.phases if wanted in ("", phase.name)}
    device = plan.choose_precision().device
    meter = Meter({key: _floors(pair, plan, phase) for key, phase in phases.items()}, blocks, device)
    log = _run(plan, meter)
    compile_s = {line["phase"]: line["compile_s"] for line in log if line["kind"] == "compile"}
    return {
        "method": name,
        "student": pair.student,
        "teacher": pair.teacher,
        "batch_size": pair.batch_size,
        "precision": plan.choose_precision().facts(),
        "phases": [
            {"phase": key, "compile_s": compile_s.get(key), **_summary(meter.times[key], pair.batch_size)}
            for key in phases
        ],
    }


def _run(plan: Plan, meter: Meter) -> list[dict[str, Any]]:
    """Let the engine train until the meter has measured everything; the lines of its log."""
    display = silent()
    display.start, display.step = meter.start, meter.step
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(Measured):
            execute(plan.settings, Path(folder) / "run", data=plan.data, teacher=plan.teacher, display=display)
        lines = (Path(folder) / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


def _floors(pair: Pair, plan: Plan, phase: Phase) -> Floors:
    """The floor in the run's precision, of the networks the phase has, and the float32 floor of both networks."""
    precision, optim = plan.choose_precision(), plan.settings.optim
    return {
        "floor": floor(pair, precision, with_teacher=bool(phase.terms), optim=optim),
        "float32_floor": floor(pair, float32(precision.device), optim=optim),
    }


def _summary(times: dict[str, list[float]], batch_size: int) -> dict[str, Any]:
    def speed(name: str) -> dict[str, float | int]:
        return spread([batch_size / seconds for seconds in times[name]])

    return {
        "images_per_s": speed("own"),
        "floor_images_per_s": speed("floor"),
        "over_floor": ratios(times["own"], times["floor"]),
        "float32_floor_s": spread(times["float32_floor"]),
        "float32_floor_over_own": ratios(times["float32_floor"], times["own"]),
    }
