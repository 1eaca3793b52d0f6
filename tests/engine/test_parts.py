"""Schedule, checkpoint, record, precision, evaluation and agreement, each by itself."""

import contextlib
import copy
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from understudy.data import load
from understudy.distiller import Distiller
from understudy.engine import facts
from understudy.engine.measure.agreement import Agreement
from understudy.engine.rates.schedule import make_optimizer, make_schedule
from understudy.engine.records import checkpoint
from understudy.engine.records.record import NotFiniteError, Record
from understudy.losses import nst
from understudy.methods import Method, Phase, Term, adjust, find
from understudy.models import build
from understudy.precision import Precision, choose
from understudy.spec import OptimSettings, RunSettings
from understudy.tasks.classification import evaluate

PLAIN = Precision(device=torch.device("cpu"), dtype=torch.float32, channels_last=False, compile=False)


def rates(sched, num_steps, **changes):
    settings = OptimSettings(sched=sched, **changes)
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], settings)
    schedule = make_schedule(optimizer, settings, num_steps)
    found = []
    for step in range(num_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < num_steps:
            schedule.step()
    return found


def test_multistep_falls_at_shares_of_the_phase():
    expected = [0.1] * 3 + [0.02] * 3 + [0.004] * 2 + [0.0008] * 2
    assert rates("multistep", 10) == pytest.approx(expected)


def test_constant_stays_and_onecycle_rises_once_and_falls_to_nothing():
    assert rates("constant", 5) == [0.1] * 5
    one = rates("onecycle", 20)
    top = one.index(max(one))
    assert max(one) == pytest.approx(0.1) and top == 5
    assert one[: top + 1] == sorted(one[: top + 1]) and one[top:] == sorted(one[top:], reverse=True)
    assert one[-1] < 1e-4 * 0.1


@pytest.mark.parametrize("num_steps", [1, 2, 3, 4, 5, 10, 20])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.2, 0.25, 0.3, 0.5])
def test_onecycle_comes_to_its_peak_in_phases_of_any_length(num_steps, warmup):
    found = rates("onecycle", num_steps, warmup=warmup)
    assert 0.05 < max(found) <= 0.1 + 1e-9
    assert num_steps < 3 or found[-1] < 1e-4


def test_multistep_begins_with_its_rate_in_phases_of_any_length():
    assert [rates("multistep", num_steps)[0] for num_steps in (1, 2, 3)] == [0.1] * 3


def test_cosine_is_half_a_wave_from_the_rate_to_nothing():
    expected = [0.1 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    assert rates("cosine", 8) == pytest.approx(expected)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.9, False), (0.0, True)])
def test_sgd_is_as_by_hand(momentum, nesterov):
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    settings = OptimSettings(lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=0.01)
    optimizer = make_optimizer([weight], settings)
    expected, velocity = 2.0, 0.0
    for gradient in (0.5, -1.5, 3.0):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        decayed = gradient + 0.01 * expected
        velocity = momentum * velocity + decayed
        expected -= 0.1 * (decayed + momentum * velocity if nesterov else velocity)
    assert weight.item() == pytest.approx(expected, rel=1e-12)


def test_adamw_is_torchs_with_the_settings_numbers():
    (optimizer,) = [
        make_optimizer([nn.Parameter(torch.zeros(1))], OptimSettings(opt="adamw", lr=1e-3, weight_decay=0.05))
    ]
    assert type(optimizer) is torch.optim.AdamW
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (1e-3, 0.05)


def test_adamw_wants_a_rate_of_its_own():
    with pytest.raises(ValueError, match=r"opt=adamw wants an lr of its own, such as optim\.lr=0\.001"):
        OptimSettings(opt="adamw")


def test_a_checkpoint_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, {"place": 1})

    def breaks(state, file):
        file.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", breaks)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(tmp_path, {"place": 2})
    monkeypatch.undo()
    assert checkpoint.load(tmp_path) == {"place": 1}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_as_one(tmp_path, monkeypatch):
    """torch ends its archive on it too, with an error of its own that says nothing of the disk."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(checkpoint, "whole_file", lambda path: contextlib.nullcontext(full))
        with pytest.raises(OSError, match="No space left on device"):
            checkpoint.save(tmp_path, {"student": torch.zeros(100_000)})
    record = Record(tmp_path)
    record.path = Path("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        record.write("steps")


def test_a_broken_checkpoint_is_named(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"checkpoint\.pt cannot be read"):
        checkpoint.load(tmp_path)
    assert checkpoint.load(tmp_path / "nowhere") is None


def test_the_record_gives_means_and_names_the_first_bad_step(tmp_path):
    record = Record(tmp_path)
    for value in (1.0, 3.0):
        record.add({"loss": torch.tensor(value), "output": torch.zeros(2), "kd": torch.tensor(2 * value)})
    assert record.read(last_step=2, where="") == {"loss": 2.0, "kd": 4.0}
    for value in (1.0, math.inf, 1.0):
        record.add({"loss": torch.tensor(value), "kd": torch.tensor(value)})
    with pytest.raises(NotFiniteError, match=r"step 4 \(epoch 1\): term kd is inf"):
        record.read(last_step=5, where="epoch 1")


def test_a_restored_record_forgets_what_came_after_the_checkpoint(tmp_path):
    record = Record(tmp_path)
    record.start()
    record.write("steps", step=1)
    state = record.state()
    record.write("steps", step=2)
    Record(tmp_path).restore(state)
    assert [json.loads(line)["step"] for line in record.path.read_text().splitlines()] == [1]


@pytest.mark.parametrize(
    ("wanted", "low", "compiled"),
    [
        ({"precision": "float32", "compile": "off"}, False, False),
        ({"precision": "bfloat16", "compile": "off"}, True, False),
        ({"precision": "float32", "compile": "auto"}, False, False),
    ],
)
def test_precision_is_as_asked(wanted, low, compiled):
    found = choose(RunSettings(device="cpu", **wanted), multiply_adds=10**9, phase_multiply_adds=0.0)
    assert (found.dtype == torch.bfloat16, found.compile) == (low, compiled)


@pytest.mark.parametrize(
    ("has_units", "multiply_adds", "low"), [(True, 10**9, True), (True, 10**4, False), (False, 10**9, False)]
)
def test_auto_takes_bfloat16_where_units_for_it_are_and_the_network_is_large_enough(
    monkeypatch, has_units, multiply_adds, low
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_units}, raising=False)
    found = choose(RunSettings(device="cpu"), multiply_adds=multiply_adds, phase_multiply_adds=0.0)
    assert (found.dtype == torch.bfloat16) == low and found.channels_last == low


def test_auto_compiles_a_long_run_where_a_compiler_is(monkeypatch):
    from understudy import precision

    for has_compiler in (True, False):
        monkeypatch.setattr(
            precision.shutil, "which", lambda name, found=has_compiler: "/bin/" + name if found else None
        )
        assert choose(RunSettings(device="cpu"), multiply_adds=1, phase_multiply_adds=1e15).compile == has_compiler
    with pytest.raises(ValueError, match=r"C\+\+ compiler"):
        choose(RunSettings(device="cpu", compile="on"), multiply_adds=1, phase_multiply_adds=0.0)


def test_evaluation_counts_right_images_and_leaves_the_network_as_it_was():
    data = load("digits")
    torch.manual_seed(0)
    network = build("digits-1x4", num_classes=10, in_channels=1).train()
    before = copy.deepcopy(network.state_dict())
    scores = evaluate(network, data.test, data, PLAIN, batch_size=100)
    assert network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    mean, std = torch.tensor(data.mean).view(1, -1, 1, 1), torch.tensor(data.std).view(1, -1, 1, 1)
    network.eval()
    right = [
        int(network((image[None].float() - mean) / std).argmax() == label)
        for image, label in zip(data.test.images, data.test.labels, strict=True)
    ]
    assert scores["accuracy_pct"] == pytest.approx(100 * sum(right) / 360) and len(right) == 360


def test_agreement_is_one_for_a_copy_and_leaves_modes_alone():
    torch.manual_seed(0)
    teacher = build("digits-1x4", num_classes=10, in_channels=1)
    student, images = copy.deepcopy(teacher), torch.randn(8, 1, 8, 8)
    distiller = Distiller(student, teacher, find("ab"), images)
    agreement = Agreement(student, teacher, distiller, images)
    assert set(agreement.measure(images, PLAIN).values()) == {1.0}
    assert student.training and not teacher.training
    with torch.no_grad():
        student.stage3[1].bias += 100.0
    assert agreement.measure(images, PLAIN)["stage3"] < 0.9


def make_agreement(method):
    torch.manual_seed(0)
    student, teacher = (build(name, num_classes=10, in_channels=1) for name in ("digits-1x4", "digits-2x6"))
    images = torch.randn(8, 1, 8, 8)
    distiller = Distiller(student, teacher, method, images)
    return distiller, Agreement(student, teacher, distiller, images), images


def test_agreement_is_with_the_terms_own_partner_through_its_connector():
    # The third stage of the one is compared with the first layer of the other's: not the pair that is proposed.
    positions = {"positions": "stage3=before:stage3.2"}
    distiller, agreement, images = make_agreement(adjust(find("ab"), terms={"ab": positions}))
    connector = distiller.comparison("ab").students[0]
    with torch.no_grad():
        for bias in connector.parameters():
            bias.add_(torch.randn_like(bias))
    read = {}
    distiller.student.stage3.register_forward_hook(lambda module, inputs, output: read.update(own=output))
    distiller.teacher.stage3[2].register_forward_pre_hook(lambda module, inputs: read.update(wanted=inputs[0]))
    found = agreement.measure(images, PLAIN)
    distiller.eval()
    with torch.no_grad():
        for network in (distiller.student, distiller.teacher):
            assert network is not None
            network(images)
        own = connector(read["own"])
    assert found == {"stage3": pytest.approx(((own > 0) == (read["wanted"] > 0)).float().mean().item())}


def test_layers_that_cannot_be_compared_neuron_by_neuron_have_no_agreement():
    # Of two sizes; and of two widths without a connector between them.
    crossed = adjust(find("ab"), terms={"ab": {"positions": "stage1=stage2"}})
    widths = Method(
        title="mine",
        paper="ours",
        phases=(Phase(name="train", terms=(Term(name="mine", tap="before_relu", distance=nst),)),),
    )
    for method in (crossed, widths):
        _, agreement, images = make_agreement(method)
        assert agreement.measure(images, PLAIN) == {}


def test_multiply_adds_are_counted_as_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(5 * 16, 7))
    output, multiply_adds = facts.multiply_adds(network, torch.zeros(1, 3, 4, 4))
    assert output.shape == (1, 7) and multiply_adds == 16 * 5 * 27 + 5 * 16 * 7
