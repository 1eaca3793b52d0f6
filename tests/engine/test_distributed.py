"""One run in two processes that torchrun starts: the student of one process, a run's folder written once, stops."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from understudy import processes
from understudy.engine import distributed, execute
from understudy.engine.measure import scores
from understudy.engine.plan import make_plan
from understudy.models import build, save_weights
from understudy.spec import read_settings
from understudy.tasks import choose_task

# `plain` has no BatchNorm, which would see half a batch, and draws nothing: two processes are to learn the same but for
# rounding, though each of them builds other weights. While there is a file `stop`, the second process is asked to stop
# in its 14th step.
NETWORK = """
import os, pathlib, signal
import torch
from torch import nn
class Net(nn.Sequential):
    calls = 0
    def forward(self, images):
        self.calls += self.training
        if self.training and self.calls == 14 and pathlib.Path("stop").exists() and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(images)
def plain(num_classes, in_channels=1, drop=0.0):
    torch.manual_seed(3 + int(os.environ.get("RANK", "0")))
    return Net(nn.Conv2d(in_channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(), nn.Dropout(drop), nn.Flatten(), nn.Linear(256, num_classes))
def dropping(num_classes, in_channels=1):
    return plain(num_classes, in_channels, drop=0.1)
"""


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """A function that starts understudy with these words in two processes of torchrun, in a folder with a network."""
    (tmp_path / "plain_nets.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    torch.manual_seed(1)
    save_weights(
        build("digits-2x6", num_classes=10, in_channels=1), tmp_path / "t.safetensors", {"model": "digits-2x6"}
    )

    def start(*words):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", "COLUMNS": "300"}
        return subprocess.Popen(
            [*command, "-m", "understudy.cli", *map(str, words)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def words(method, out, *more):
    return [
        "distill",
        "--teacher",
        "digits-2x6",
        "--teacher-weights",
        "t.safetensors",
        "--student",
        "plain_nets:plain",
    ] + [
        *["--method", method, "--data", "digits", "--epochs", 2, "--batch-size", 30],
        *["--out", out, "data.percent=20", "optim.lr=0.02", *more],
    ]


def ended(process, status=0):
    out, err = process.communicate(timeout=150)
    assert process.returncode == status, err
    return out, err


def lines(folder, kind):
    found = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if line["kind"] == kind]


@pytest.mark.slow
def test_two_processes_learn_what_one_does(launch, tmp_path, monkeypatch):
    """By terms of images alone, and of images with each other; connectors would have BatchNorms."""
    monkeypatch.chdir(tmp_path)
    method = "kd+rkd"
    out, _ = ended(launch(*words(method, "both")))
    assert out.count("on the test images") == 1 and "2 processes with 15 images of each batch" in out
    options = {"teacher.model": "digits-2x6", "teacher.weights": "t.safetensors", "student.model": "plain_nets:plain"}
    options |= {"method.name": method, "data.name": "digits", "epochs": 2, "batch_size": 30, "data.percent": 20}
    alone = execute(read_settings(options={**options, "optim.lr": 0.02}), tmp_path / "alone")
    both, one = (load_file(tmp_path / place / "student.safetensors") for place in ("both", "alone"))
    for name, value in one.items():
        torch.testing.assert_close(both[name], value, rtol=1e-4, atol=1e-5)
    for first, second in zip(lines(tmp_path / "both", "epoch"), lines(tmp_path / "alone", "epoch"), strict=True):
        assert first["terms"] == pytest.approx(second["terms"], rel=1e-4)
    summary = json.loads((tmp_path / "both" / "summary.json").read_text())
    assert summary["scores"]["loss"] == pytest.approx(alone.scores["loss"], rel=1e-3)
    # Each process has measured a part of the test images.
    alone.student.load_state_dict(both)
    plan = make_plan(read_settings(options={**options, "optim.lr": 0.02}))
    exact = plan.choose_precision().exact()
    assert summary["scores"] == pytest.approx(plan.task.measure(alone.student, plan.data.test, plan.data, exact))
    assert json.loads((tmp_path / "both" / "run.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_when_one_process_is_stopped_all_save_and_go_on_to_the_same_bits(launch, tmp_path):
    more = ("--epochs", "1+2", "--student", "plain_nets:dropping")
    ended(launch(*words("ab+kd", "whole", *more)))
    (tmp_path / "stop").touch()
    _, err = ended(launch(*words("ab+kd", "run", *more)), status=1)
    assert "stopped by another process at step" in err and "stopped by SIGTERM at step" in err
    step = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["place"]["step"]
    (tmp_path / "stop").unlink()
    out, _ = ended(launch(*words("ab+kd", "run", *more)))
    assert f"going on at step {step}" in out
    students = [(tmp_path / place / "student.safetensors").read_bytes() for place in ("whole", "run")]
    assert students[0] == students[1]


@pytest.mark.parametrize(
    ("batch_size", "options", "told"),
    [
        (31, {}, "2 processes cannot share a batch of 31 images"),
        (32, {"retrieval.loss": "triplet"}, "losses of pairs of images are no mean over images"),
    ],
)
def test_what_two_processes_would_learn_otherwise_is_refused(settings, monkeypatch, batch_size, options, told):
    monkeypatch.setattr(distributed, "num_processes", lambda: 2)
    wanted = settings("none", **{"epochs": 1, **options})
    with pytest.raises(ValueError, match=told):
        distributed.check_processes(choose_task(wanted), batch_size)
    said = str(distributed.check_processes(choose_task(settings("none")), 32))
    assert "16 images of each batch" in said and "mixup, dropout, margins" in said


@pytest.mark.parametrize(("num_images", "shares"), [(7, [2, 2, 3]), (2, [])])
def test_processes_share_what_is_measured_where_each_has_an_image(settings, monkeypatch, num_images, shares):
    """The mean of the parts' numbers, by how many images each part has, is that of all of them."""
    plan = make_plan(settings("none"))
    images, exact = plan.data.test.subset(range(num_images)), plan.choose_precision().exact()
    wanted, parts = plan.task.measure(plan.assembled, images, plan.data, exact), []
    for module in (processes, scores):
        monkeypatch.setattr(module, "num_processes", lambda: 3)
    monkeypatch.setattr(scores, "like_first", lambda tensors: None)
    monkeypatch.setattr(scores, "mean_over_parts", lambda means, count: parts.append((count, means)) or means)
    for rank in range(3):
        monkeypatch.setattr(processes.dist, "get_rank", lambda rank=rank: rank)
        found = scores.scores_on(plan.task, plan.assembled, images, plan.data, exact)
        assert parts or found == wanted
    assert [count for count, _ in parts] == shares
    if shares:
        mean = sum(count * torch.tensor(means) for count, means in parts) / num_images
        assert mean.tolist() == pytest.approx([*wanted.values()])
