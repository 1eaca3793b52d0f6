"""The teacher is measured once for the runs of a process, and anew wherever its numbers may be others."""

from dataclasses import replace

import pytest
import torch

from understudy.engine.measure import teacher_scores
from understudy.engine.measure.teacher_scores import is_known
from understudy.engine.plan import make_plan
from understudy.models import build, save_weights
from understudy.precision import Precision

FLOAT = Precision(device=torch.device("cpu"), dtype=torch.float32, channels_last=False, compile=False)


@pytest.fixture
def count(monkeypatch):
    """The plan's teacher scored; how often it was measured since the test began."""
    monkeypatch.setattr(teacher_scores, "_measured", {})
    times = []

    def score(plan, precision=FLOAT):
        measure = plan.task.measure
        counted = replace(plan.task, measure=lambda *given: times.append(1) or measure(*given))
        found = teacher_scores.teacher_scores(replace(plan, task=counted), precision)
        assert found == measure(plan.whole_teacher, plan.data.test, plan.data, precision)
        return len(times)

    return score


def test_runs_of_other_students_methods_and_seeds_share_it(settings, count):
    first = make_plan(settings("kd"))
    assert not is_known(first, FLOAT)
    assert count(first) == 1 and is_known(first, FLOAT)
    for other in (settings("ab+kd"), settings("kd", **{"run.seed": 3}), settings("kd", **{"data.percent": 50})):
        assert count(make_plan(other)) == 1


def test_other_weights_images_and_numbers_are_measured_anew(settings, count, tmp_path):
    assert count(make_plan(settings("kd"))) == 1
    torch.manual_seed(1)
    save_weights(build("digits-2x6", num_classes=10, in_channels=1), tmp_path / "other.safetensors")
    assert count(make_plan(settings("kd", **{"teacher.weights": str(tmp_path / "other.safetensors")}))) == 2
    assert count(make_plan(settings("kd", **{"data.mean": [0.4]}))) == 3
    assert count(make_plan(settings("kd")), replace(FLOAT, dtype=torch.bfloat16)) == 4


def test_weights_that_have_changed_in_place_are_measured_anew(settings, count):
    plan = make_plan(settings("kd"))
    assert count(plan) == 1
    with torch.no_grad():
        plan.whole_teacher.fc.bias[0] += 100.0
    assert count(plan) == 2


def test_a_module_of_ones_own_is_measured_each_time(settings, count):
    teacher = build("digits-2x6", num_classes=10, in_channels=1)
    plain = settings("kd")
    named = plain.model_copy(update={"teacher": plain.teacher.model_copy(update={"weights": None})})
    plan = make_plan(named, teacher=teacher)
    assert count(plan) == 1 and count(plan) == 2 and not is_known(plan, FLOAT)
    assert is_known(make_plan(settings("none")), FLOAT)
