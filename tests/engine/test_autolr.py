"""AutoLR's formulas against slow definitions, and what it does to a run."""

import itertools
import json
import math

import pytest
import torch
from torch import nn

from understudy.engine import execute
from understudy.engine.measure.variation import Variation
from understudy.engine.rates import autolr
from understudy.engine.rates.auto import STEM, AutoRates
from understudy.engine.rates.rates import groups
from understudy.engine.rates.schedule import make_optimizer, make_schedule
from understudy.models import build
from understudy.spec import OptimSettings


def slow_score(changes):
    """By counting, for each place, how many are smaller than the change that should stand there."""
    total = 0
    for change in changes:
        own = changes.index(change)
        smaller = sum(other < change for other in changes)
        total += abs(smaller - own)
    return 1 - total / (len(changes) ** 2 / 2)


def test_the_score_is_one_in_order_none_reversed_and_as_counted_between():
    assert autolr.sorting_score([1, 2, 3, 4]) == 1.0 and autolr.sorting_score([4, 3, 2, 1]) == 0.0
    for order in itertools.permutations([0.1, 0.7, 0.2, 3.0, 2.0]):
        assert autolr.sorting_score(order) == pytest.approx(slow_score(order))
        assert autolr.sorting_score([5.0 * change for change in order]) == autolr.sorting_score(order)


def test_a_change_is_the_length_of_the_way_for_each_weight():
    now, before = [torch.ones(2, 3), torch.full((4,), 2.0)], [torch.zeros(2, 3), torch.full((4,), 5.0)]
    assert float(autolr.change(now, before)) == pytest.approx(math.sqrt(6 * 1 + 4 * 9) / 10)


def test_the_threshold_falls_by_a_hundredth_an_epoch_until_it_is_low():
    found = [autolr.threshold(epoch) for epoch in range(40)]
    assert found[0] == 0.94 and found[1] == pytest.approx(0.94 * 0.99)
    assert found[-1] == found[-2] and 0.79 < found[-1] <= 0.8


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([1.0, 10.0, 5.0], [2.0, 3.0, 4.0]),  # from twice the smallest to 0.4 of the largest
        ([3.0, 4.0, 5.0], [2.0, 4.0, 6.0]),  # where that would fall, it rises all the same
    ],
)
def test_the_first_line_rises_from_block_to_block(changes, line):
    assert autolr.first_wanted(changes) == pytest.approx(line)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]),
        ([5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0]),
        ([1.0, 2.0, 9.0, 4.0, 5.0], [1.0, 2.0, 9.0, 11.0, 13.0]),
        ([4.0, 4.5, 0.5, 6.0, 8.0], [0.125, 0.25, 0.5, 6.0, 8.0]),  # a step down would leave nothing
    ],
)
def test_later_only_what_is_out_of_order_is_moved_from_the_middle_outward(changes, wanted):
    assert autolr.later_wanted(changes) == pytest.approx(wanted)
    assert autolr.sorting_score(autolr.later_wanted(changes)) == 1.0


def test_new_rates_are_those_at_which_proportional_changes_are_the_wanted_ones():
    rates, slopes, wanted = [0.1, 0.2, 0.4], [3.0, 5.0, 0.7], [0.5, 0.6, 0.9]
    changes = [rate * slope for rate, slope in zip(rates, slopes, strict=True)]
    new = autolr.adjusted(rates, changes, wanted)
    assert [rate * slope for rate, slope in zip(new, slopes, strict=True)] == pytest.approx(wanted)
    assert autolr.adjusted([0.1], [0.0], [2.0]) == [0.1]


def resnet():
    torch.manual_seed(0)
    return build("resnet8", num_classes=10, in_channels=1)


class Trained(nn.Module):
    """As much of a distiller as groups of parameters need."""

    def __init__(self, student):
        super().__init__()
        self.student = student

    def phase_parameters(self):
        return [*self.student.parameters()]


@pytest.mark.parametrize("sched", ["constant", "onecycle", "multistep"])
def test_an_epoch_out_of_order_changes_the_rates_of_blocks_and_the_schedule_goes_on(sched):
    student, settings = resnet(), OptimSettings(lr=0.1, sched=sched)
    auto = AutoRates(student)
    assert auto.names == ("layer1.0", "layer2.0", "layer3.0")
    optimizer = make_optimizer(groups(Trained(student), settings, auto), settings)  # type: ignore[arg-type]
    schedule = make_schedule(optimizer, settings, 10)
    auto.begin_epoch()
    with torch.no_grad():
        for block, size in zip(auto.names, (0.3, 0.2, 0.1), strict=True):
            for parameter in auto.weights[block]:
                parameter += size
    counts = [sum(p.numel() for p in auto.weights[block]) for block in auto.names]
    changes = [size / math.sqrt(count) for size, count in zip((0.3, 0.2, 0.1), counts, strict=True)]
    found = auto.end_epoch(optimizer)
    assert [*found["changes"].values()] == pytest.approx(changes, rel=1e-4)
    wanted = autolr.first_wanted([*found["changes"].values()])
    expected = dict(zip(auto.names, autolr.adjusted([1.0] * 3, [*found["changes"].values()], wanted), strict=True))
    expected |= {STEM: 0.5 * expected["layer1.0"]}
    assert found["next_factors"] == pytest.approx(expected) and found["factors"] == dict.fromkeys(expected, 1.0)
    plain = make_optimizer([nn.Parameter(torch.zeros(1))], settings)
    alone = make_schedule(plain, settings, 10)
    for _ in range(9):
        for group in optimizer.param_groups:
            factor = expected[group["part"]] if group["part"] else 1.0
            assert group["lr"] == pytest.approx(factor * plain.param_groups[0]["lr"])
        optimizer.step(), plain.step(), schedule.step(), alone.step()
    (rest,) = [group for group in optimizer.param_groups if group["part"] is None]
    assert [id(p) for p in rest["params"]] == [id(p) for p in student.linear.parameters()]


def test_an_epoch_in_order_leaves_the_rates():
    student = resnet()
    auto = AutoRates(student)
    optimizer = make_optimizer(groups(Trained(student), OptimSettings(), auto), OptimSettings())  # type: ignore[arg-type]
    auto.begin_epoch()
    assert auto.end_epoch(optimizer)["next_factors"] == auto.factors == dict.fromkeys(auto.factors, 1.0)
    auto.begin_epoch()
    with torch.no_grad():
        for block, size in zip(auto.names, (0.1, 1.0, 10.0), strict=True):
            for parameter in auto.weights[block]:
                parameter += size
    assert auto.end_epoch(optimizer)["score"] == 1.0 and auto.factors["layer3.0"] == 1.0


@pytest.mark.parametrize(
    "sizes", [(0.3, 0.2, 0.0), (0.0, 0.3, 0.2), (0.3, 0.0, 0.0)], ids=["last rests", "first rests", "one learns"]
)
def test_a_block_that_rests_keeps_its_rate_and_the_others_are_put_in_order(sizes):
    student = resnet()
    auto = AutoRates(student)
    optimizer = make_optimizer(groups(Trained(student), OptimSettings(), auto), OptimSettings())  # type: ignore[arg-type]
    for _ in range(3):
        auto.begin_epoch()
        with torch.no_grad():
            for block, size in zip(auto.names, sizes, strict=True):
                for parameter in auto.weights[block]:
                    parameter += size
        found = auto.end_epoch(optimizer)
    resting = [block for block, size in zip(auto.names, sizes, strict=True) if size == 0.0]
    assert all(auto.factors[block] == 1.0 for block in resting) and min(auto.factors.values()) > 0.0
    moved = [block for block in auto.names if block not in resting]
    assert (found["score"] == 1.0) == (len(moved) == 1)
    # What moved more than what comes after it learns at a lower rate than that now.
    assert len(moved) == 1 or auto.factors[moved[0]] < auto.factors[moved[-1]]


def test_a_student_without_blocks_to_order_is_told():
    student = resnet()
    student.layer1.requires_grad_(False)
    with pytest.raises(ValueError, match="found too few that learn: layer2.0, layer3.0"):
        AutoRates(student)


def test_variation_is_measured_against_the_start():
    student = resnet()
    variation = Variation(student)
    assert list(variation.measure()) == ["conv1", "layer1.0", "layer2.0", "layer3.0", "linear"]
    with torch.no_grad():
        student.get_submodule("linear").weight.mul_(1.5)
        student.layer1[0].bn1.weight += 1.0
    found = variation.measure()
    way = float(0.5 * variation.start["linear"][0].norm())
    assert found["linear"]["relative"] == pytest.approx(0.5) and found["linear"]["change"] == pytest.approx(way)
    assert found["linear"]["per_weight"] == pytest.approx(way / 640)
    assert all(one["change"] == 0.0 for block, one in found.items() if block != "linear")


def test_a_run_that_stops_goes_on_with_its_rates_to_the_same_bits(settings, tmp_path):
    """Stopped within an epoch after rates have changed, so that the epoch's start is in the checkpoint."""
    from understudy.engine.display import silent
    from understudy.engine.loop import StoppedError

    words = ["optim.auto_rates=true", "optim.rates.stage2=2", "optim.sched=onecycle"]
    wanted = settings("ab+kd", *words, epochs="1+3")
    whole = execute(wanted, tmp_path / "whole")
    display, steps = silent(), itertools.count(1)

    def step():
        if next(steps) == 21:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)

    display.step = step
    with pytest.raises(StoppedError):
        execute(wanted, tmp_path / "stopped", display=display)
    again = execute(wanted, tmp_path / "stopped")
    ends = [(tmp_path / name / "student.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert ends[0] == ends[1] and whole.accuracy_pct == again.accuracy_pct
    logs = [
        [line for line in map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
         if line["kind"] in ("weights", "rates")]
        for name in ("whole", "stopped")
    ]  # fmt: skip
    assert logs[0] == logs[1]
    found = [line for line in logs[0] if line["kind"] == "rates"]
    assert len(found) == 4 and any(line["next_factors"] != line["factors"] for line in found[:2])
