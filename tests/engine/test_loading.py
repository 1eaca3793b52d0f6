"""Runs on images that are decoded when they are asked for, and on mixed ones."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.engine.pictures import CLASSES, files, pictures
from understudy.data import Crops, sources
from understudy.data.parts import Parts
from understudy.engine import execute, start
from understudy.engine.display import silent
from understudy.engine.evaluate.assess import assess
from understudy.engine.loop import StoppedError
from understudy.models import build
from understudy.spec import RunFailedError, read_settings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:This DataLoader will create")]
STEPS = 4  # of an epoch: 64 images in batches of 16


def settings(method="kd", *words, **options):
    wanted = {
        "student.model": "digits-1x4",
        "method.name": method,
        "data.name": "pictures",
        "epochs": 3,
        "batch_size": 16,
        "run.checkpoint_every": 100,
        **({"task": "train"} if method == "none" else {"teacher.model": "given"}),
        **options,
    }
    return read_settings(options=wanted, words=words)


def run(out: Path, method="kd", *words, workers=0, display=None, data=None, **options):
    torch.manual_seed(5)
    teacher = None if method == "none" else build("digits-1x6", num_classes=3, in_channels=3)
    data = data or pictures(workers)
    return execute(settings(method, *words, **options), out, teacher=teacher, data=data, display=display)


def bits(out: Path) -> bytes:
    return (out / "student.safetensors").read_bytes()


def last_epoch(out: Path) -> dict:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "epoch"][-1]


def stopped_at(step: int):
    """A display that asks the run to stop in a given step."""
    display, steps = silent(), iter(range(1, 1000))

    def count():
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    display.step = count
    return display


@pytest.mark.parametrize("method", ["none", "ab+kd", "at_gradient", "bss", "selective"])
def test_every_kind_of_method_learns_from_files(tmp_path, method):
    # Looking at gradients reads a batch while an epoch is being read.
    words = ["epochs=2", "run.gradients_every=3", "data.validation=0"]
    result = run(tmp_path / "one", method, *words, workers=2)
    run(tmp_path / "other", method, *words)
    assert bits(tmp_path / "one") == bits(tmp_path / "other")
    assert result.accuracy_pct == last_epoch(tmp_path / "one")["scores"]["test"]["accuracy_pct"]
    assert not multiprocessing.active_children()


def test_how_images_were_read_is_said_and_stands_in_the_folder(tmp_path):
    display, said = silent(), []
    display.say = said.append
    run(tmp_path / "run", display=display)
    assert "images: drawn" in said and "of corners" in said
    about = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    assert about["loading"] == "workers" and about["loading_because"] == "drawn" and about["note"] == "of corners"
    assert about["augment"] == repr(Crops(size=8)) and about["image_shape"] == [3, 8, 8]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["data.views=2"],
        ["data.augment=false"],
        ["data.mixup=0.4", "data.cutmix=1.0", "data.smoothing=0.1"],
    ],
)
def test_stopped_in_mid_epoch_and_gone_on_with_it_ends_in_the_same_bits(tmp_path, words):
    run(tmp_path / "untouched", "kd", *words)
    for step, workers in ((STEPS + 2, 2), (3, 1)):
        with pytest.raises(StoppedError, match="stopped by SIGTERM"):
            run(tmp_path / "run", "kd", *words, workers=workers, display=stopped_at(step))
        assert not multiprocessing.active_children()
    run(tmp_path / "run", "kd", *words, workers=0)
    assert bits(tmp_path / "run") == bits(tmp_path / "untouched")


def test_a_broken_image_is_named_before_anything_is_trained(tmp_path):
    with pytest.raises(
        ValueError, match=r"1 image cannot be read, .*training.*test.*drawn/17.png is broken; take them"
    ):
        run(tmp_path / "run", data=pictures(0, broken=17))
    assert not (tmp_path / "run" / "run.json").exists()
    # The folder is free for a run without it.
    run(tmp_path / "run", data=pictures(0))


def test_test_images_among_the_training_images_are_told_at_the_start(tmp_path):
    data = pictures(0)
    run(tmp_path / "run", data=replace(data, test=data.train.subset(range(20))))
    found = json.loads((tmp_path / "run" / "run.json").read_text())["findings"]
    assert [(one["check"], one["severity"]) for one in found] == [("duplicates", "error")]


@pytest.mark.parametrize("when", ["computing", "waiting"])
def test_a_decoding_process_that_is_killed_ends_the_run_with_what_to_do(tmp_path, when):
    """torch tells of it with a signal, wherever the program stands."""
    display, steps = silent(), iter(range(1, 1000))

    def kill():
        if next(steps) == 2:
            for process in multiprocessing.active_children():
                process.kill()
            if when == "computing":
                time.sleep(1.0)

    display.step = kill
    with pytest.raises(RunFailedError, match=r"a process that decodes images was ended.*data.workers=0"):
        run(tmp_path / "run", data=replace(pictures(1), train=files(0, 640)), display=display)
    assert run(tmp_path / "run", data=replace(pictures(0), train=files(0, 640))).accuracy_pct > 0


def test_a_broken_image_that_was_not_looked_at_ends_the_run_with_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "look_at_files", lambda data: [])
    for workers in (0, 2):
        with pytest.raises(RunFailedError, match=r"^the run failed after step \d: drawn/17.png is broken$"):
            run(tmp_path / f"run{workers}", data=pictures(workers, broken=17))
        assert not multiprocessing.active_children()


def test_the_teachers_stored_answers_are_the_live_ones_also_for_files(tmp_path):
    options = {"data.views": 2, "epochs": 4}
    run(tmp_path / "live", "kd", "method.teacher_mode=eval", **options)
    cache = {"run.teacher_cache": str(tmp_path / "cache")}
    for workers in (0, 2):
        out = tmp_path / f"stored{workers}"
        run(out, "kd", "method.teacher_mode=eval", workers=workers, **options, **cache)
        assert bits(out) == bits(tmp_path / "live")
    assert len([*(tmp_path / "cache").rglob("*.npy")]) == 2
    # The middle of an image depends on the crops, though nothing is drawn.
    for crops in (Crops(size=8), Crops(size=8, crop_pct=0.5)):
        data = replace(pictures(), augment=crops)
        run(tmp_path / f"middle{crops.crop_pct}", "kd", "data.augment=false", data=data, **cache)
    assert len([*(tmp_path / "cache").rglob("*.npy")]) == 4


@pytest.mark.parametrize("how", ["memory", "workers"])
def test_a_student_is_measured_as_it_was_trained(monkeypatch, tmp_path, how):
    def parts(name, **_):
        return Parts(name=name, train=files(0, 64), test=files(100, 20), note="")

    monkeypatch.setattr(sources, "parts", parts)
    words = [f"data.loading={how}", "data.size=8", "data.crop_pct=0.6", "data.mean=[0.2,0.3,0.4]", "data.workers=0"]
    words += ["data.classes=[cat,ant]", "data.std=[0.2,0.2,0.2]", "data.scale=[0.5,1]", "data.hflip=false"]
    result = execute(settings("none", *words), tmp_path / "run")
    # By the run's settings, and by what the file alone says.
    (tmp_path / "alone.safetensors").write_bytes((tmp_path / "run" / "student.safetensors").read_bytes())
    last = last_epoch(tmp_path / "run")["scores"]["test"]
    for name in ("run", "alone.safetensors"):
        found = assess(str(tmp_path / name))
        assert found["accuracy_pct"] == result.accuracy_pct and found["nll"] == pytest.approx(last["loss"])
        assert found["num_images"] == 13 and set(CLASSES) > {"cat", "ant"}


# Mixed images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("none", ["data.smoothing=0.1"]),
        ("kd", ["data.cutmix=1"]),
        ("at_gradient", ["data.mixup=0.5", "data.smoothing=0.1"]),
        ("ab+kd", ["data.mixup=0.5"]),
        ("ab+kd", ["data.smoothing=0.1"]),
    ],
)
def test_methods_learn_from_soft_labels_in_either_way(tmp_path, settings_of_digits, method, words):
    run(tmp_path / "files", method, *words, epochs=2)
    execute(settings_of_digits(method, *words), tmp_path / "digits")
    execute(settings_of_digits(method), tmp_path / "plain")
    for out in (tmp_path / "files", tmp_path / "digits"):
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        assert all(line["terms"]["loss"] > 0 for line in lines if line["kind"] == "epoch")
    # This ab+kd has no labels, and smoothing changes no image.
    is_same = method == "ab+kd" and words == ["data.smoothing=0.1"]
    assert (bits(tmp_path / "digits") == bits(tmp_path / "plain")) == is_same


@pytest.mark.parametrize("method", ["bss", "selective"])
@pytest.mark.parametrize("word", ["data.mixup=0.2", "data.cutmix=1"])
def test_methods_that_ask_for_an_images_class_refuse_mixed_ones(tmp_path, method, word):
    with pytest.raises(ValueError, match="asks which class an image is of, and data.mixup and data.cutmix"):
        run(tmp_path / "run", method, word)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["bss", "selective"])
def test_smoothed_labels_keep_the_class_they_ask_for(tmp_path, method):
    # Of one step, so that what the labels' own loss does to the student is not seen yet.
    plain, smoothed = tmp_path / "plain", tmp_path / "smoothed"
    run(plain, method, epochs=1, batch_size=64)
    run(smoothed, method, "data.smoothing=0.1", epochs=1, batch_size=64)
    sharp, soft = last_epoch(plain)["terms"], last_epoch(smoothed)["terms"]
    assert soft[method] == sharp[method] > 0 and soft["task"] != sharp["task"]


@pytest.mark.parametrize("word", ["data.mixup=0.2", "data.cutmix=1"])
def test_a_teachers_stored_answers_are_not_for_mixed_images(tmp_path, word):
    cache = {"run.teacher_cache": str(tmp_path / "cache"), "data.views": 2}
    with pytest.raises(ValueError, match=r"run.teacher_cache stores.*data.mixup and data.cutmix mix them anew"):
        settings("kd", word, **cache)
    run(tmp_path / "run", "kd", "data.smoothing=0.1", **cache)


@pytest.fixture
def settings_of_digits(teacher_file):
    def make(method, *words):
        teacher = {"teacher.model": "digits-2x6", "teacher.weights": str(teacher_file)} if method != "none" else {}
        wanted = {"student.model": "digits-1x4", "method.name": method, "data.percent": 20, "epochs": 2, **teacher}
        return read_settings(options={**wanted, "batch_size": 32, "run.eval_every": 9}, words=words)

    return make


# Signals ----------------------------------------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys
from pathlib import Path
from tests.engine.pictures import pictures
from tests.engine.test_loading import run
from understudy.engine.display import silent

out, kill_at = Path(sys.argv[1]), int(sys.argv[2])
display, steps = silent(), iter(range(1, 1000))
def step():
    if next(steps) == kill_at:
        os.killpg(0, signal.SIGTERM)
display.step = step
run(out, workers=2, display=display)
"""


@pytest.mark.slow
def test_a_signal_to_the_whole_group_stops_the_run_politely_and_leaves_no_process(tmp_path):
    run(tmp_path / "untouched")
    arguments = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path / "run"), str(STEPS + 1)]
    root = Path(__file__).parents[2]
    started = subprocess.Popen(
        arguments,
        cwd=root,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
    )
    _, error = started.communicate(timeout=120)
    assert started.returncode == 1 and "StoppedError: stopped by SIGTERM at step 5" in error, error
    assert "DataLoader" not in error
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _has_processes(started.pid):
        time.sleep(0.1)
    assert not _has_processes(started.pid)
    run(tmp_path / "run")
    assert bits(tmp_path / "run") == bits(tmp_path / "untouched")


def _has_processes(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
