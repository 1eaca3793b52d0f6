"""The benchmarks run, and what stands on their page follows from what was measured."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from benchmarks.__main__ import PARTS, main
from benchmarks.gpu import Together
from benchmarks.page import number, write_page
from benchmarks.pair import QUICK, float32, network
from benchmarks.timing import ratios, slope, spread
from understudy.distiller import Distiller
from understudy.engine.rates.schedule import make_optimizer
from understudy.methods import find
from understudy.spec import OptimSettings

ROOT = Path(__file__).parent.parent


def run(*words):
    return subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_part_runs_and_makes_a_page(tmp_path):
    done = run("benchmarks", "--quick", "--out", str(tmp_path / "results.json"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["parts"]) == list(PARTS)
    page = (tmp_path / "README.md").read_text()
    assert "Did not run" not in page and "Quick run" in page
    for name in ("epochs.svg", "losses.svg"):
        assert f"({name})" in page and ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_benchmark_for_cuda_runs_on_a_processor_and_says_what_it_needs(tmp_path):
    done = run("benchmarks.gpu", "--device", "cpu", "--quick", "--out", str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert len(found["parts"]) == 5 and found["not_run"] == []
    assert not any("error" in part for part in found["parts"].values())
    if not torch.cuda.is_available():
        refused = run("benchmarks.gpu")
        assert refused.returncode != 0 and "needs a CUDA device" in refused.stderr


def test_an_unknown_part_is_answered_with_the_known_ones(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "trainig:kd"])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().err
    assert "no part 'trainig:kd'" in told and "training:kd" in told


def level(value):
    return {"median": value, "min": value, "max": value, "n": 3}


def results_with(parts):
    return {
        "started": "2026-01-01T00:00:00+00:00",
        "quick": False,
        "hardware": {"cpu": "a processor", "memory_gib": 24.0},
        "threads": 2,
        "versions": {"python": "3.11", "torch": "2.15"},
        "parts": {name: {"wall_s": 1.0, "load_at_start": 0.5, **found} for name, found in parts.items()},
        "wall_s": 60.0,
    }


def test_a_peers_figure_is_brought_to_this_machine_by_the_float32_floor(tmp_path):
    phase = {
        "phase": "train",
        "images_per_s": level(672.0),
        "floor_images_per_s": level(700.0),
        "over_floor": level(1.04),
        "float32_floor_s": level(0.8),
    }
    precision = {"dtype": "bfloat16", "channels_last": True, "compile": True}
    kd = {"result": {"phases": [phase], "precision": precision}}
    write_page(results_with({"training:kd": kd, "cached": {"error": "no memory"}}), tmp_path)
    page = (tmp_path / "README.md").read_text()
    # 112 images/s at 1.2 s a step are 168 at 0.8 s, and 672 is four times that.
    assert "| KD | 112 (the AB authors' code) | 168 | 4 | 672 (672 to 672) | 4 (4 to 4) " in page
    assert "| 700 (700 to 700), 4.17 times the peer | 1.04 (1.04 to 1.04) |" in page
    assert "- cached: no memory" in page


def test_slopes_and_ratios_are_as_by_hand():
    assert slope([1, 2, 4, 8], [5 * size**1.5 for size in (1, 2, 4, 8)]) == pytest.approx(1.5)
    assert ratios([2.0, 6.0, 12.0], [1.0, 2.0, 3.0]) == {"median": 3.0, "min": 2.0, "max": 4.0, "n": 3}
    assert spread([1 / 3], digits=2)["median"] == 0.33
    assert [number(value) for value in (1234.5, 1.007, 0.00123)] == ["1,234", "1.01", "0.00123"]


def test_students_trained_at_once_learn_what_each_learns_alone():
    torch.manual_seed(0)
    plain = float32(torch.device("cpu"))
    students, teacher = [network(QUICK.student) for _ in range(3)], network(QUICK.teacher)
    alone = copy.deepcopy(students)
    images, labels = torch.randn(8, 3, 16, 16), torch.arange(8)
    together = Together(students, copy.deepcopy(teacher), plain, OptimSettings())
    losses = [together.step(images, labels) for _ in range(2)]
    for index, student in enumerate(alone):
        distiller = Distiller(student, teacher, find("kd"), images)
        optimizer = make_optimizer(distiller.phase_parameters(), OptimSettings())
        for step in range(2):
            loss = distiller(images, labels)["loss"]
            torch.testing.assert_close(losses[step][index], loss.detach())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for name, value in [*student.named_parameters(), *student.named_buffers()]:
            stacked = {**together.parameters, **together.buffers}[name][index]
            torch.testing.assert_close(stacked.to(value.dtype), value, rtol=1e-4, atol=1e-5)
