"""A student that begins with parts of its teacher's weights."""

import io
import json
import re

import pytest
import torch
from rich.console import Console

from understudy.engine import execute
from understudy.engine.display import Display
from understudy.engine.plan import make_plan
from understudy.models import build, save_weights, select_weights
from understudy.spec import SettingsError

BEGUN = {"student.from_teacher": True, "student.model": "digits-1x4"}


@pytest.fixture
def told():
    """What runs with its display say."""
    console = Console(record=True, width=200, file=io.StringIO())
    return Display(console), lambda: console.export_text(clear=False)


def test_the_student_is_the_selection_from_the_teacher(settings):
    plan = make_plan(settings("ab+kd", **BEGUN))
    by_hand = build("digits-1x4", num_classes=10, in_channels=1)
    assert plan.left_random == select_weights(by_hand, plan.teacher) == []
    assert all(torch.equal(plan.student.state_dict()[name], value) for name, value in by_hand.state_dict().items())


@pytest.mark.parametrize("classes", [[str(digit) for digit in range(12)], [str(digit) for digit in range(10)][::-1]])
def test_a_classifier_of_other_classes_or_another_order_stays_random(settings, tmp_path, classes):
    path = tmp_path / "others.safetensors"
    said = {"class_names": json.dumps(classes), "model": "digits-2x6"}
    save_weights(build("digits-2x6", num_classes=len(classes), in_channels=1), path, said)
    plan = make_plan(settings("ab+kd", **{**BEGUN, "teacher.weights": str(path)}))
    assert plan.left_random == ["fc.weight", "fc.bias"]


def test_layers_as_wide_as_there_are_classes_are_no_classifier(settings, tmp_path):
    """The student's channels are 4 and 8, and so is the number of its classes."""
    path = tmp_path / "others.safetensors"
    save_weights(build("digits-2x6", num_classes=10, in_channels=1), path, {"model": "digits-2x6"})
    wanted = {**BEGUN, "teacher.weights": str(path), "teacher.num_classes": 10, "data.classes": list("01234567")}
    plan = make_plan(settings("ab", **wanted))
    assert plan.left_random == ["fc.weight", "fc.bias"]


def test_a_run_says_how_its_student_begins(settings, tmp_path, told):
    display, lines = told
    execute(settings("kd", **BEGUN, epochs="1"), tmp_path / "run", display=display)
    assert "the student begins with evenly spaced parts of the teacher's weights" in lines()
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["student"]["from_teacher"] is True and facts["student"]["left_random"] == []


def test_it_is_told_what_of_the_student_the_teacher_lacks(settings, tmp_path, told):
    display, lines = told
    execute(settings("kd", **{**BEGUN, "student.model": "digits-3x4"}, epochs="1"), tmp_path / "run", display=display)
    assert re.search(r"not in the teacher: stage1\.6, stage1\.7, .*, stage3\.7 start random", lines())


def test_two_beginnings_and_none_are_refused(settings, teacher_file):
    with pytest.raises(SettingsError, match=r"two beginnings; leave out one"):
        settings("kd", **BEGUN, **{"student.weights": str(teacher_file)})
    with pytest.raises(ValueError, match=r"student.from_teacher needs a teacher; give --teacher"):
        make_plan(settings("none", **BEGUN))
