"""Weights that are not finite: convolutions that bfloat16 breaks are kept from it, and no run ends with such ones."""

import json

import pytest
import torch
from torch import nn

from understudy import distil
from understudy.engine import run
from understudy.engine.narrow import find_narrow_convolution
from understudy.engine.plan import make_plan
from understudy.engine.records import checkpoint
from understudy.engine.records.record import NotFiniteError, check_weights
from understudy.spec import run_files


@pytest.mark.parametrize(
    ("kernel", "stride", "height", "width", "is_narrow"),
    [(3, 2, 1, 1, True), (3, 2, 4, 1, True), (3, 2, 1, 4, False), (3, 2, 2, 2, False), (3, 1, 1, 1, False)]
    + [(5, 4, 3, 3, True), (5, 4, 4, 4, False)],
)
def test_images_narrower_than_the_stride_are_found_by_the_name_of_both_numbers(
    kernel, stride, height, width, is_narrow
):
    network = nn.Sequential(nn.Conv2d(2, 3, kernel, stride=stride, padding=kernel // 2), nn.BatchNorm2d(3)).train()
    found = find_narrow_convolution(network, torch.zeros(1, 2, height, width))
    assert found == (f"a convolution of stride {stride} sees images {width} pixels wide" if is_narrow else None)
    assert network.training and network[1].num_batches_tracked == 0


class Narrow(nn.Module):
    """A student whose third convolution sees images of 1x1."""

    def __init__(self):
        super().__init__()
        widths = (1, 8, 16, 32, 64)
        pairs = zip(widths, widths[1:], strict=False)
        self.layers = nn.Sequential(*(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs))
        self.head = nn.Linear(64, 10)

    def forward(self, images):
        return self.head(self.layers(images).flatten(1))


def test_a_student_with_narrow_convolutions_trains_in_float32(settings, monkeypatch):
    monkeypatch.setattr("understudy.precision.has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr("understudy.precision.LOW_PRECISION_FROM", 0)
    wanted = settings("none", "run.precision=auto", "run.device=cpu")
    found = make_plan(wanted, Narrow()).choose_precision()
    assert found.dtype == torch.float32 and not found.channels_last
    # The rule is about those convolutions alone.
    other = make_plan(wanted).choose_precision()
    assert other.dtype == torch.bfloat16 and other.channels_last


def test_bfloat16_that_was_asked_for_is_refused_for_it_with_what_to_do(settings):
    plan = make_plan(settings("none", "run.precision=bfloat16", "run.device=cpu"), Narrow())
    with pytest.raises(ValueError, match=r"bfloat16: a convolution of stride 2 sees images 1 .*run\.precision=float32"):
        plan.choose_precision()


class Breaks(nn.Module):
    """A student whose answers are finite, and whose gradient is not: that of a root at zero."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)
        self.under_root = nn.Parameter(torch.zeros(10))

    def forward(self, images):
        return self.head(images.flatten(1)) + self.under_root.pow(2).sqrt()


def test_a_run_does_not_end_with_weights_that_are_not_finite(tmp_path):
    with pytest.raises(NotFiniteError, match=r"weights student\.under_root are not finite at step 1 \(epoch 1, phase"):
        distil(Breaks(), None, "digits", method="none", epochs=1, folder=tmp_path, data__per_class=5)
    assert checkpoint.load(tmp_path) is None
    assert not (tmp_path / "student.safetensors").exists()


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_weights_that_are_not_finite_are_named(value):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    check_weights(network, "")
    # Large weights, whose squares overflow, are still weights.
    nn.init.constant_(network[0].weight, 1e30)
    check_weights(network, "")
    with torch.no_grad():
        network[1].bias[1] = value
    with pytest.raises(NotFiniteError, match=r"the weights 1\.bias are not finite at step 3\. Lower optim\.lr"):
        check_weights(network, "at step 3")
    # What is not trained is no run's to answer for.
    network[1].requires_grad_(False)
    check_weights(network, "")


def test_a_run_that_began_on_a_gpu_goes_on_in_what_a_processor_can_compute(settings, tmp_path):
    began = {"dtype": "bfloat16", "channels_last": True, "compile": False}
    (tmp_path / run_files.FACTS).write_text(json.dumps({"precision": began}))
    (tmp_path / checkpoint.FILE).touch()
    wanted = settings("none", "run.device=cpu")
    assert run._precision(make_plan(wanted), tmp_path).dtype == torch.bfloat16
    found = run._precision(make_plan(wanted, Narrow()), tmp_path)
    assert found.dtype == torch.float32 and not found.channels_last
