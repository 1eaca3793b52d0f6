"""Killed and started again, a run ends in the same bits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow  # a dozen processes, each of which loads torch

# A student with dropout, so that torch's own generator has to be restored too. The signal strikes in a given step.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from torch import nn
from understudy.engine import execute
from understudy.engine.display import silent
from understudy.models import build
from understudy.spec import read_settings

teacher, out, kill_at, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

def student(num_classes):
    network = build("digits-1x4", num_classes=num_classes, in_channels=1)
    network.fc = nn.Sequential(nn.Dropout(0.2), network.fc)
    return network

def main():
    settings = read_settings(
        options={"student.model": "__main__:student", "teacher.model": "digits-2x6", "teacher.weights": teacher,
                 "method.name": "ab+kd", "data.percent": 20, "epochs": "2+3", "batch_size": 32},
        words=["run.checkpoint_every=4", "run.log_every=3", "method.teacher_mode=train"],
    )
    display, steps = silent(), 0
    if (out / "checkpoint.pt").exists():
        import torch
        steps = torch.load(out / "checkpoint.pt", weights_only=True)["place"]["step"]
    def step():
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), number)
    display.step = step
    execute(settings, out, display=display)

main()
"""
KILL, TERM = 9, 15
STEPS_PER_EPOCH = 8  # 280 images in batches of 32


def start(teacher: Path, out: Path, kill_at: int = 0, number: int = KILL) -> subprocess.CompletedProcess:
    arguments = [sys.executable, "-c", PROGRAM, str(teacher), str(out), str(kill_at), str(number)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120)


def log_without_times(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("train_s", "images_per_s")} for line in lines]


def flat(state, prefix=""):
    """Every tensor and number of a checkpoint by its path; times are left out."""
    if isinstance(state, dict):
        for key, value in state.items():
            if key not in ("wall_s", "epoch_train_s", "phase_train_s", "bytes"):
                yield from flat(value, f"{prefix}/{key}")
    elif isinstance(state, list | tuple):
        for index, value in enumerate(state):
            yield from flat(value, f"{prefix}/{index}")
    else:
        yield prefix, state


@pytest.fixture(scope="module")
def untouched(teacher_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "untouched"
    done = start(teacher_file, folder)
    assert done.returncode == 0, done.stderr
    return folder


def check_same(untouched: Path, resumed: Path) -> None:
    assert (resumed / "student.safetensors").read_bytes() == (untouched / "student.safetensors").read_bytes()
    expected = dict(flat(torch.load(untouched / "checkpoint.pt", weights_only=True)))
    found = dict(flat(torch.load(resumed / "checkpoint.pt", weights_only=True)))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        same = torch.equal(value, found[name]) if isinstance(value, torch.Tensor) else value == found[name]
        assert same, name
    assert log_without_times(resumed) == log_without_times(untouched)


def test_killed_inside_both_phases_it_ends_in_the_same_bits(untouched, teacher_file, tmp_path):
    # Inside the first phase, in its very last step, and in the middle of an epoch of the second.
    for kill_at in (6, 2 * STEPS_PER_EPOCH, 22):
        assert start(teacher_file, tmp_path / "run", kill_at).returncode == -KILL
        assert not (tmp_path / "run" / "summary.json").exists()
    assert start(teacher_file, tmp_path / "run").returncode == 0
    check_same(untouched, tmp_path / "run")


def test_asked_to_stop_it_saves_at_once_and_goes_on_to_the_same_bits(untouched, teacher_file, tmp_path):
    stopped = start(teacher_file, tmp_path / "run", kill_at=22, number=TERM)
    assert "stopped by SIGTERM at step 22" in stopped.stderr and stopped.returncode == 1
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["place"]["step"] == 22
    assert start(teacher_file, tmp_path / "run").returncode == 0
    resumed = log_without_times(tmp_path / "run")
    # Stopping reads the log at a step of its own; the epochs are the same.
    epochs = [line for line in resumed if line["kind"] == "epoch"]
    assert epochs == [line for line in log_without_times(untouched) if line["kind"] == "epoch"]
    assert (tmp_path / "run" / "student.safetensors").read_bytes() == (untouched / "student.safetensors").read_bytes()


def test_a_finished_run_is_only_read(untouched, teacher_file):
    before = {path.name: path.stat().st_mtime_ns for path in untouched.iterdir()}
    assert start(teacher_file, untouched).returncode == 0
    assert {path.name: path.stat().st_mtime_ns for path in untouched.iterdir()} == before
