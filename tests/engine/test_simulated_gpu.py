"""No run puts tensors on two devices: every method, and what else a run does, on a GPU that is simulated."""

import pytest
import torch

from tests.engine.simulated_gpu import OnGpu, TwoDevicesError, simulate
from tests.engine.stopping import stops_after
from understudy.data import load
from understudy.engine import execute
from understudy.engine.distil import distil
from understudy.engine.loop import StoppedError
from understudy.methods import METHODS
from understudy.models import build
from understudy.spec import read_settings

pytestmark = pytest.mark.slow  # every method once more


@pytest.fixture
def gpu(monkeypatch):
    return simulate(monkeypatch)


def run(gpu, out, method, *words, display=None):
    torch.manual_seed(0)
    named = {"student.model": "digits-1x4", "data.name": "digits", "batch_size": 16, "method.name": method}
    named |= {"epochs": len(METHODS[method].phases) if method in METHODS else 1}
    teacher = None
    if method != "none":
        teacher, named["teacher.model"] = build("digits-2x6", num_classes=10, in_channels=1), "digits-2x6"
    with gpu:
        data = load("digits", per_class=4)
        return execute(read_settings(options=named, words=words), out, data=data, teacher=teacher, display=display)


def test_the_simulation_refuses_tensors_on_two_devices(gpu):
    with gpu:
        there, here = torch.ones(2, device="cuda"), torch.ones(2)
        assert isinstance(there, OnGpu) and there.device.type == "cuda" and (there + 1).is_cuda
        with pytest.raises(TwoDevicesError):
            there + here
        assert torch.equal((there + here.to("cuda")).cpu(), torch.full((2,), 2.0))
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()


@pytest.mark.parametrize("method", METHODS)
def test_every_method(gpu, tmp_path, method):
    result = run(gpu, tmp_path / "run", method)
    assert all(one.is_cuda for one in result.student.parameters())
    assert (tmp_path / "run" / "seen.npz").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["data.mixup=0.4"],
        ["data.cutmix=1.0", "data.smoothing=0.1"],
        ["run.balance=1", "terms.kd.clip=true"],
        ["optim.rates.stage1=0"],
        ["optim.auto_rates=true"],
        ["optim.opt=adamw", "optim.lr=0.001"],
        ["data.views=2", "run.teacher_cache=answers"],
        ["student.from_teacher=true"],
    ],
    ids=lambda words: words[0],
)
def test_what_else_a_run_can_do(gpu, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    run(gpu, tmp_path / "run", "kd", *words)


def test_networks_that_an_earlier_run_left_there(gpu, tmp_path):
    with gpu:
        student, teacher = (
            build(name, num_classes=10, in_channels=1).to("cuda") for name in ("digits-1x4", "digits-2x6")
        )
        options = {"epochs": 1, "data__per_class": 4, "batch_size": 16, "quiet": True}
        for folder in ("first", "again"):
            run = distil(student, teacher, "digits", method="kd", folder=tmp_path / folder, **options)
            assert run.student is student and all(one.is_cuda for one in student.parameters())


def test_a_run_that_was_stopped(gpu, tmp_path):
    whole = run(gpu, tmp_path / "whole", "ab+kd")
    with pytest.raises(StoppedError):
        run(gpu, tmp_path / "stopped", "ab+kd", display=stops_after(4))
    again = run(gpu, tmp_path / "stopped", "ab+kd")
    pairs = zip(whole.student.parameters(), again.student.parameters(), strict=True)
    assert all(torch.equal(one.inner, other.inner) for one, other in pairs)
