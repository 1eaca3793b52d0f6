"""A student of smaller images than its teacher's: what each sees, and that only the run scales."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from understudy.distiller import Distiller
from understudy.engine import execute
from understudy.engine.doctor import examine, problems
from understudy.engine.doctor.examine import pair_findings
from understudy.engine.evaluate.assess import assess
from understudy.engine.plan import load_data, make_plan
from understudy.engine.student_size import images_scaled
from understudy.export import export_run
from understudy.losses import attention
from understudy.methods import METHODS, adjust
from understudy.models import build, read_metadata
from understudy.ops import scaled
from understudy.taps import pairs
from understudy.teachers import Member, Teachers

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


class Blocks(nn.Module):
    """Two blocks at a half and a quarter of the images, or maps with their channels last."""

    def __init__(self, channels_last=False):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width_in, width, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1))
            for width_in, width in ((3, 8), (8, 12))
        )
        self.permute = nn.ModuleList(nn.Identity() for _ in self.blocks)
        self.fc = nn.Linear(12, 2)
        self.channels_last = channels_last

    def forward(self, images):
        x = images
        for block, permute in zip(self.blocks, self.permute, strict=True):
            x = block(x)
            permute(x.movedim(1, 3) if self.channels_last else x)
        return self.fc(x.mean(dim=(2, 3)))


def test_a_student_that_sees_squares_of_wide_images_is_read_as_one_of_squares():
    student, teacher = Blocks(), Blocks()
    with images_scaled(student, 16):
        found = pairs(student, teacher, "group_end", torch.zeros(2, 3, 24, 32))
    assert [(own.name, own.shape[2:], wanted.shape[2:]) for own, wanted in found] == [
        ("blocks.0", (8, 8), (12, 16)),
        ("blocks.1", (4, 4), (6, 8)),
    ]
    assert found[0][0].image_size == (16, 16) and found[0][1].image_size == (24, 32)
    assert not hasattr(student, "size_seen")


def test_a_teacher_that_sees_squares_of_wide_images_is_read_as_one_of_squares(generator):
    images = torch.randn(2, 3, 24, 32, generator=generator)
    student, inner = Blocks(), Blocks(channels_last=True)
    teacher = Teachers([Member(network=inner, size=(16, 16))], mean=(128.0,) * 3, std=(64.0,) * 3, example=images)
    term = adjust(METHODS["at"], terms={"at": {"positions": "blocks.1=networks.0.permute.1"}})
    distiller = Distiller(student, teacher, term, images)
    (site,) = distiller.sites["at"]
    # The teacher's (B, 4, 4, 12) is a map of 4 x 4 and not one of 4 channels.
    assert site.teacher_shape == (2, 12, 4, 4) and site.student_shape == (2, 12, 4, 4)
    with torch.no_grad():
        own = F.adaptive_avg_pool2d(_second(student, images), 4)
        wanted = _second(inner, scaled(images, (16, 16)))
    found = distiller(images, torch.tensor([0, 1]))["at"]
    torch.testing.assert_close(found, attention(own, wanted) / 16 * 1000, rtol=1e-4, atol=0)


def _second(network, images):
    return network.blocks[1](network.blocks[0](images))
