"""A student of smaller images than its teacher's: what each sees, and that only the run scales."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from understudy.distiller import Distiller
from understudy.engine import execute
from understudy.engine.doctor import examine, problems
from understudy.engine.doctor.examine import pair_findings
from understudy.engine.evaluate.assess import assess
from understudy.engine.plan import load_data, make_plan
from understudy.engine.student_size import images_scaled
from understudy.export import export_run
from understudy.methods import METHODS
from understudy.models import build, read_metadata

SIZES = {"data.size": 16, "student.size": 8}


def seen(network):
    """The images that reach its first layer, as they come."""
    found = []
    network.stage1.register_forward_pre_hook(lambda module, inputs: found.append(inputs[0].detach().clone()))
    return found


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return [build(name, num_classes=10, in_channels=1) for name in ("digits-1x4", "digits-2x6")]


def test_the_teacher_sees_the_images_and_the_student_the_same_ones_scaled_down(pair, generator):
    student, teacher = pair
    images, labels = torch.randn(3, 1, 16, 16, generator=generator), torch.tensor([1, 2, 3])
    with images_scaled(student, 8):
        distiller = Distiller(student, teacher, METHODS["kd"], torch.zeros(2, 1, 16, 16))
        to_student, to_teacher = seen(student), seen(teacher)
        distiller(images, labels)
    assert torch.equal(to_teacher[-1], images)
    # Pillow's bilinear filter widens with the factor, as antialiasing does.
    expected = np.stack([np.array(Image.fromarray(one[0].numpy()).resize((8, 8), Image.Resampling.BILINEAR))
                         for one in images])  # fmt: skip
    np.testing.assert_allclose(to_student[-1][:, 0], expected, atol=1e-5)


def test_in_a_run_no_enlarged_image_reaches_the_teacher(settings, pair, tmp_path):
    student, teacher = pair
    to_student, to_teacher = seen(student), seen(teacher)
    wanted = settings("kd", **SIZES)
    execute(wanted, tmp_path / "run", student=student, teacher=teacher)
    assert {one.shape[-1] for one in to_student} == {8} and {one.shape[-1] for one in to_teacher} == {16}
    # The teacher is measured on the test images in order before it teaches; an enlarged one would be smoother.
    data = load_data(wanted)
    pixels = (data.test.images[:128].float() - torch.tensor(data.mean)) / torch.tensor(data.std)
    assert any(torch.equal(one, pixels) for one in to_teacher)


def test_after_the_run_the_student_is_as_it_was_given(settings, pair, tmp_path):
    student, teacher = pair
    result = execute(settings("kd", **SIZES), tmp_path / "run", student=student, teacher=teacher)
    assert result.student is student and not student._forward_pre_hooks
    found = seen(student)
    student(torch.zeros(1, 1, 16, 16))
    assert found[-1].shape[-1] == 16
    assert sorted(load_file(tmp_path / "run" / "student.safetensors")) == sorted(student.state_dict())


def test_a_run_that_fails_leaves_no_hook_behind(settings, pair, tmp_path):
    student, teacher = pair
    with pytest.raises(RuntimeError, match="not finite"):
        execute(settings("kd", "optim.lr=1e30", **SIZES), tmp_path / "run", student=student, teacher=teacher)
    assert not student._forward_pre_hooks


@pytest.mark.parametrize("method", ["ab+kd", "jacobian", "bss", "selective"])
def test_methods_learn_across_the_two_sizes(pair, method, generator):
    student, teacher = pair
    images, labels = torch.randn(6, 1, 16, 16, generator=generator), torch.arange(6)
    with images_scaled(student, 8):
        distiller = Distiller(student, teacher, METHODS[method], images)
        answer = distiller(images, labels)
        answer["loss"].backward()
    assert answer["loss"].isfinite() and student.stage1[0].weight.grad.abs().sum() > 0


def test_the_run_and_its_file_say_what_the_student_saw_and_evaluating_it_agrees(settings, tmp_path):
    execute(settings("kd", **SIZES), tmp_path / "run")
    facts, summary = (json.loads((tmp_path / "run" / name).read_text()) for name in ("run.json", "summary.json"))
    assert facts["student"]["image_shape"] == [1, 8, 8] and facts["data"]["image_shape"] == [1, 16, 16]
    said = read_metadata(tmp_path / "run" / "student.safetensors")
    assert (said["height"], said["width"]) == ("8", "8")
    plain = make_plan(settings("kd", **{"data.size": 8}))
    assert summary["multiply_adds"] == plain.sizes["student"]["multiply_adds"]
    found = assess(str(tmp_path / "run"))
    assert found["accuracy_pct"] == summary["scores"]["accuracy_pct"]


def test_the_exported_network_takes_the_small_images(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("understudy.engine.measure.latency.ENOUGH_S", 0.0)
    execute(settings("kd", **SIZES), tmp_path / "run")
    export_run(tmp_path / "run", ["safetensors"])
    card = (tmp_path / "run" / "export" / "README.md").read_text()
    assert "| input | 1x8x8 (channels, height, width)" in card and "torch.zeros(1, 1, 8, 8)" in card
    assert read_metadata(tmp_path / "run" / "export" / "model.safetensors")["height"] == "8"


def test_a_student_that_takes_another_size_than_the_one_asked_says_which(settings):
    with pytest.raises(ValueError, match=r"the student does not take images of 1x8x8 .*add student.size=224"):
        make_plan(settings("none", **{"student.model": "timm:vit_tiny_patch16_224", **SIZES}))


def test_the_doctor_looks_at_both_sizes(settings, pair, tmp_path):
    student, teacher = pair
    to_student, to_teacher = seen(student), seen(teacher)
    plan = make_plan(settings("kd", **SIZES), student, teacher)
    found = problems(examine(plan, tmp_path / "run"))
    assert not [one for one in found if one.check == "set-up"]
    assert {one.shape[-1] for one in to_student} == {8} and {one.shape[-1] for one in to_teacher} == {16}


def test_without_a_size_the_network_is_left_alone(pair):
    with images_scaled(pair[0], None):
        assert not pair[0]._forward_pre_hooks


def test_a_teacher_whose_images_are_scaled_down_and_up_again_is_a_finding(settings):
    def told(**options):
        plan = make_plan(settings("kd", **{"teacher.size": 16, **options}))
        return [one for one in pair_findings(plan) if "up again" in one.found]

    (found,) = told(**{"data.size": 8})
    assert "8x8, and for the teacher up again to 16x16" in found.found
    assert found.do.startswith("data.size=16 student.size=8")
    # As large as they come, or as large as the teacher wants them.
    assert not told() and not told(**SIZES)
