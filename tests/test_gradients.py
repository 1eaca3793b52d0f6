"""Gradients of several losses: their norms, and one kept no longer than another."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from understudy.distiller import Distiller
from understudy.gradients import add_clipped, clipped, gradients_of, norm_of
from understudy.methods import Method, Phase, adjust, find
from understudy.models import build
from understudy.ops import full_precision


def parameter(*values):
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


# Gradients and their norms ------------------------------------------------------------------------------------------


def test_a_loss_has_gradients_where_it_reaches_and_can_be_asked_again():
    first, second = parameter(1.0, 2.0), parameter(3.0)
    loss = first.square().sum()
    for _ in range(2):
        reached, unreached = gradients_of(loss, [first, second])
        torch.testing.assert_close(reached, torch.tensor([2.0, 4.0], dtype=torch.float64))
        assert unreached is None
    assert first.grad is None
    assert gradients_of(torch.zeros(()), [first, second]) == [None, None]


def test_gradients_taken_inside_autocast_are_those_taken_outside():
    torch.manual_seed(0)
    weight, values = nn.Parameter(torch.randn(16, 16)), torch.randn(8, 16)
    with torch.autocast("cpu", torch.bfloat16):
        with full_precision(values):
            loss = (values @ weight @ weight).square().sum()
        (inside,) = gradients_of(loss, [weight])
    (outside,) = gradients_of(loss, [weight])
    torch.testing.assert_close(inside, outside)


def test_gradients_too_small_for_float16_are_not_lost():
    """As in a loop with a loss scaler, which scales after these are taken."""
    torch.manual_seed(0)
    weight, values = nn.Parameter(torch.randn(16, 4)), torch.randn(8, 16)
    with torch.autocast("cpu", torch.float16):
        loss = 1e-8 * (values @ weight).sum()
        (found,) = gradients_of(loss, [weight])
    expected = 1e-8 * values.sum(dim=0)[:, None].expand(16, 4)
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=1e-10)


@pytest.mark.parametrize("factor", [10.0, 1e3, 1e5])
def test_gradients_too_large_for_float16_once_they_are_scaled_are_not_lost(factor):
    weight, values = nn.Parameter(torch.ones(16, 4)), torch.ones(8, 16)
    with torch.autocast("cpu", torch.float16):
        loss = factor * (values @ weight).float().sum()
        (found,) = gradients_of(loss, [weight])
    torch.testing.assert_close(found, torch.full((16, 4), 8.0 * factor), rtol=2e-2, atol=0.0)


def test_the_norm_is_that_of_all_gradients_as_one_vector():
    gradients = [torch.tensor([[1.0, -2.0]]), None, torch.tensor(4.0), torch.tensor([2.0])]
    assert norm_of(gradients).item() == pytest.approx(5.0)
    assert norm_of([None, None]).item() == norm_of([]).item() == 0.0


# Clipping -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("longest", "expected"), [(10.0, (3.0, -4.0)), (5.0, (3.0, -4.0)), (1.0, (0.6, -0.8)), (0.0, (0.0, 0.0))]
)
def test_a_clipped_gradient_keeps_its_direction(longest, expected):
    short = clipped(torch.tensor([3.0, -4.0]), torch.tensor(longest))
    torch.testing.assert_close(short, torch.tensor(expected))


@pytest.mark.parametrize("longest", [0.0, 1.0])
def test_a_gradient_of_zeros_stays_one(longest):
    assert torch.equal(clipped(torch.zeros(3), torch.tensor(longest)), torch.zeros(3))


def clipped_by_hand(factor):
    """The backward of main + transfer at a parameter of both, one of the transfer's, one of the main's, a connector."""
    both, alone, main_only, unreached, connector = (parameter(1.0, 2.0) for _ in range(5))
    main = both.sum() + 2.0 * main_only.sum()
    transfer = (torch.tensor([3.0, 4.0]) * both).sum() + alone.square().sum() + (7.0 * connector).sum()
    loss = add_clipped(main, transfer, [both, alone, main_only, unreached], [connector], torch.tensor(factor))
    return loss, main + transfer, [both, alone, main_only, unreached, connector]


@pytest.mark.parametrize("outer", [1.0, 3.0])
@pytest.mark.parametrize("factor", [0.5, 0.9, 100.0])
def test_each_shared_parameter_is_clipped_by_itself_and_connectors_are_not(factor, outer):
    loss, total, parameters = clipped_by_hand(factor)
    assert loss.item() == total.item()
    (loss * outer).backward()
    # The main gradient is (1, 1), the transfer's (3, 4), of length 5.
    ratio = min(1.0, factor * math.sqrt(2.0) / 5.0)
    expected = [(1.0 + 3.0 * ratio, 1.0 + 4.0 * ratio), (0.0, 0.0), (2.0, 2.0), None, (7.0, 7.0)]
    for own, wanted in zip(parameters, expected, strict=True):
        if wanted is None:
            assert own.grad is None
        else:
            torch.testing.assert_close(own.grad, outer * torch.tensor(wanted, dtype=torch.float64))


def test_where_no_gradients_are_taken_the_value_is_the_sum():
    with torch.no_grad():
        loss, total, _ = clipped_by_hand(0.5)
    assert loss.item() == total.item() and not loss.requires_grad


# Clipping in a distiller --------------------------------------------------------------------------------------------


def make(method):
    torch.manual_seed(0)
    student, teacher = (build(name, num_classes=5, in_channels=1).double() for name in ("digits-1x4", "digits-2x6"))
    return Distiller(student, teacher, method, torch.zeros(2, 1, 8, 8).double()).double()


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64), torch.arange(6) % 5


def gradients(method, epochs=0.0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the student and of the connectors, each by name."""
    distiller = make(method)
    distiller.enter(len(method.phases) - 1)
    distiller.at(0.0, epochs)
    distiller(*batch())["loss"].backward()
    connectors = distiller.comparisons.named_parameters()
    return {name: p.grad for name, p in distiller.student.named_parameters()}, {name: p.grad for name, p in connectors}


def task_gradients() -> dict[str, Any]:
    student = copy.deepcopy(make(find("none")).student)
    images, labels = batch()
    F.cross_entropy(student(images), labels).backward()
    return {name: p.grad for name, p in student.named_parameters()}


CLIPPED = {
    "kd": {"kd": {"clip": True, "weight": 1e4}},
    "kd_svd": {"kd_svd": {"weight": 1e5}},
    "mhgd": {"mhgd": {"weight": 1e5}},
    "rkd": {"rkd_distance": {"clip": True, "weight": 1e4}, "rkd_angle": {"clip": True, "weight": 1e4}},
}


@pytest.mark.parametrize("epochs", [0.0, 1.5])
@pytest.mark.parametrize("name", CLIPPED)
def test_at_every_parameter_the_transfer_is_no_longer_than_the_task_and_keeps_its_direction(name, epochs):
    clip = adjust(find(name), terms=CLIPPED[name])
    free = adjust(clip, terms={term: {"clip": False} for term in CLIPPED[name]})
    (own, own_connectors), (unclipped, connectors), task = gradients(clip, epochs), gradients(free), task_gradients()
    # Of whole epochs.
    factor, num_clipped = 1.0 / (1.0 + math.exp(-math.floor(epochs))), 0
    for key, of_task in task.items():
        transfer, wanted = own[key] - of_task, unclipped[key] - of_task
        longest = factor * of_task.norm()
        assert transfer.norm() <= longest * (1.0 + 1e-6)
        if wanted.norm() > longest:
            num_clipped += 1
            wanted = wanted * (longest / wanted.norm())
        torch.testing.assert_close(transfer, wanted, rtol=1e-6, atol=1e-10)
    assert num_clipped > 0
    torch.testing.assert_close(own_connectors, connectors, rtol=1e-9, atol=1e-12)


def test_only_the_terms_that_ask_for_it_are_clipped():
    changes = {"kd": {"clip": True, "weight": 1e4}}
    both, _ = gradients(adjust(find("kd+nst"), terms=changes), epochs=0.0)
    main, _ = gradients(find("nst"))
    wanted, _ = gradients(adjust(find("kd"), terms={"kd": {"weight": 1e4}}))
    for key, of_task in task_gradients().items():
        transfer = wanted[key] - of_task
        ratio = min(1.0, 0.5 * main[key].norm() / transfer.norm())
        torch.testing.assert_close(both[key] - main[key], ratio * transfer, rtol=1e-6, atol=1e-10)


def test_a_layer_that_only_the_clipped_term_reaches_learns_nothing():
    (boundaries,), (divergence,) = (find(name).phases[0].terms for name in ("ab", "kd"))
    terms = (boundaries, replace(divergence, clip=True))
    method = Method(title="", paper="", phases=(Phase(name="train", terms=terms, labels=0.0),))
    student, _ = gradients(method)
    assert not student["fc.weight"].any() and student["stage1.0.weight"].any()


def test_with_nothing_to_clip_to_the_way_out_is_named():
    told = r"phase 'train' has nothing to clip kd to; add labels or another term, or set .*clip=false"
    for name in ("kd_only", "ab+kd"):  # before a phase that comes earlier has learnt anything
        with pytest.raises(ValueError, match=told):
            adjust(find(name), terms={"kd": {"clip": True}})


def test_a_clipped_distiller_answers_the_plain_loss_where_no_gradients_are_taken():
    changes = {"kd": {"clip": True, "weight": 1e4}}
    with torch.no_grad():
        answer = make(adjust(find("kd"), terms=changes))(*batch())
    assert not answer["loss"].requires_grad
    torch.testing.assert_close(answer["loss"], answer["task"] + answer["kd"])


class Averaging(torch.nn.Module):
    """A student that keeps a moving average of its images, in a new tensor each time."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.register_buffer("average", torch.zeros(1, 8, 8))

    def forward(self, images):
        self.average = 0.9 * self.average + images.detach().mean(dim=0)
        return self.network(images)


def test_looking_at_gradients_leaves_a_buffer_that_is_assigned():
    student = Averaging(build("digits-1x4", num_classes=5, in_channels=1)).to(batch()[0])
    distiller = Distiller(student, None, find("none"), batch()[0])
    buffer, before = student.average, student.average.clone()
    distiller.gradient_norms(*batch())
    assert student.average is buffer and torch.equal(buffer, before)


def test_a_term_without_gradient_keeps_its_weight_when_the_others_are_balanced():
    distiller = make(adjust(find("bss"), terms={"bss": {"sample": False}}))
    distiller.at(1.0, 0.0)  # boundary samples no longer count
    factors = distiller.balance(0.5, *batch())
    assert factors["bss"] == 1.0 and factors["bss_clean"] != 1.0
    norms = distiller.gradient_norms(*batch())
    assert norms["bss"] == 0.0 and norms["bss_clean"] == pytest.approx(0.5 * norms["task"], rel=1e-4)
