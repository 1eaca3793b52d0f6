"""Learning rates by layer: what learns at which rate, what is frozen, and what a run says of it."""

import json

import pytest
import torch
from torch import nn

from understudy.distiller import Distiller
from understudy.engine import execute
from understudy.engine.rates import rates
from understudy.engine.rates.schedule import make_optimizer, make_schedule
from understudy.methods import adjust, find
from understudy.models import build
from understudy.spec import OptimSettings

IMAGES = torch.zeros(2, 1, 8, 8)


def distiller(method="none"):
    torch.manual_seed(0)
    student, teacher = (build(name, num_classes=10, in_channels=1) for name in ("digits-1x4", "digits-1x6"))
    return Distiller(student, None if method == "none" else teacher, find(method), torch.zeros(2, 1, 8, 8))


def factors(made, given):
    """Parameter -> factor, of everything that the phase trains."""
    names = {id(parameter): name for name, parameter in rates.learnable(made)}
    found = rates.groups(made, OptimSettings(lr=0.5, rates=given))
    return {names[id(p)]: group["factor"] for group in found for p in group["params"]}


def test_the_last_pattern_that_matches_counts_and_nothing_is_left_uncovered():
    made = distiller()
    found = factors(made, {"stage?": 0.1, "*.bias": 3.0, "stage2": 2.0, "stage2.1.weight": 5.0})
    assert found.keys() == {name for name, _ in made.student.named_parameters()}
    assert found["stage1.0.weight"] == 0.1 and found["stage1.1.bias"] == 3.0
    assert found["stage2.0.weight"] == found["stage2.1.bias"] == 2.0 and found["stage2.1.weight"] == 5.0
    assert found["fc.weight"] == 1.0 and found["fc.bias"] == 3.0


class Head(nn.Module):
    """An objective with parameters of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, output, labels):
        return nn.functional.cross_entropy(self.scale * output, labels)


def test_an_objectives_parameters_have_rates_of_their_own_and_may_be_frozen():
    student = build("digits-1x4", num_classes=10, in_channels=1)
    made = Distiller(student, None, find("none"), torch.zeros(2, 1, 8, 8), Head())
    found = factors(made, {"objective": 10.0})
    assert found["objective.scale"] == 10.0 and set(found.values()) == {1.0, 10.0}
    rates.freeze(made, {"objective": 0.0}, IMAGES)
    assert "objective.scale" not in factors(made, {"objective": 0.0})


def test_a_name_means_a_whole_part_and_connectors_have_names_too():
    made = distiller("ab+kd")
    found = factors(made, {"stage": 7.0, "comparisons": 0.5})
    connectors = [name for name in found if name.startswith("comparisons.ab.")]
    assert connectors and all(found[name] == 0.5 for name in connectors)
    assert all(factor == 1.0 for name, factor in found.items() if name not in connectors)


@pytest.mark.parametrize("sched", ["multistep", "onecycle", "constant"])
def test_every_schedule_keeps_the_ratios(sched):
    settings = OptimSettings(lr=0.2, sched=sched, rates={"fc": 10.0, "stage1": 0.25})
    optimizer = make_optimizer(rates.groups(distiller(), settings), settings)
    schedule = make_schedule(optimizer, settings, 10)
    plain = make_optimizer([nn.Parameter(torch.zeros(1))], settings)
    alone = make_schedule(plain, settings, 10)
    for step in range(10):
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(group["factor"] * plain.param_groups[0]["lr"], rel=1e-12)
        assert rates.base_rate(optimizer) == plain.param_groups[0]["lr"]
        optimizer.step(), plain.step()
        if step < 9:
            schedule.step(), alone.step()
    assert {group["factor"] for group in optimizer.param_groups} == {10.0, 0.25, 1.0}


def test_a_group_moves_as_far_as_its_factor_says():
    moved = {}
    for factor in (1.0, 3.0):
        made = distiller()
        settings = OptimSettings(lr=0.01, weight_decay=0.0, rates={"fc": factor})
        optimizer = make_optimizer(rates.groups(made, settings), settings)
        before = {name: p.detach().clone() for name, p in made.student.named_parameters()}
        generator = torch.Generator().manual_seed(1)
        images, labels = torch.randn(8, 1, 8, 8, generator=generator), torch.arange(8)
        made(images, labels)["loss"].backward()
        optimizer.step()
        moved[factor] = {name: p.detach() - before[name] for name, p in made.student.named_parameters()}
    for name, way in moved[1.0].items():
        times = 3.0 if name.startswith("fc.") else 1.0
        torch.testing.assert_close(moved[3.0][name], times * way, rtol=1e-3, atol=1e-7)


def test_what_is_frozen_gets_no_gradient_and_its_batchnorms_keep_their_statistics():
    made = distiller("ab+kd")
    rates.freeze(made, {"stage1": 0.0, "comparisons": 0.0, "stage2.1.weight": 0.0}, IMAGES)
    before = {name: value.clone() for name, value in made.student.state_dict().items()}
    assert not made.student.stage1[1].training and made.student.stage2[1].training
    for phase in (0, 1):
        made.enter(phase)
        made.train()
        trained = {name for name, _ in made.named_parameters() if not name.startswith("teacher.")}
        assert not made.student.stage1[1].training
        losses = made(torch.randn(8, 1, 8, 8), torch.arange(8))
        losses["loss"].backward()
        frozen = [name for name in trained if name.startswith(("student.stage1", "comparisons."))]
        assert all(dict(made.named_parameters())[name].grad is None for name in frozen)
        assert not any(id(p) in {id(q) for q in made.student.stage1.parameters()} for p in made.phase_parameters())
    after = made.student.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("stage1."))
    # Of a BatchNorm that learns its bias the statistics move as ever.
    assert not torch.equal(after["stage2.1.running_mean"], before["stage2.1.running_mean"])


def test_a_batchnorm_without_parameters_rests_with_the_layers_around_it():
    student = build("digits-2x4", num_classes=10, in_channels=1)
    for stage in (student.stage1, student.stage2):
        stage[1] = torch.nn.BatchNorm2d(stage[1].num_features, affine=False)
    made = Distiller(student, None, find("none"), IMAGES)
    rates.freeze(made, {"stage1": 0.0}, IMAGES)
    assert not student.stage1[1].training and student.stage2[1].training


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"stge2": 0.1}, r"optim.rates.stge2: found no layer or parameter of this name; nearest: stage2"),
        ({"stage2.7": 0.1}, r"optim.rates.stage2.7: .*nearest: stage2"),
        ({"student.fc": 0.1}, r"optim.rates.student.fc: found no layer"),
        ({"*": 0.0}, r"freezes the whole student"),
    ],
)
def test_a_pattern_that_matches_nothing_is_told_with_near_names(given, told):
    with pytest.raises(ValueError, match=told):
        rates.freeze(distiller(), given, IMAGES)


@pytest.mark.parametrize(
    ("method", "given"),
    [("ab", {"*": 0.0, "fc": 1.0}), ("ft", {"comparisons": 0.0}), ("fsp+kd", {"*": 0.0, "fc": 1.0})],
)
def test_a_phase_in_which_nothing_is_left_to_learn_is_told(method, given):
    with pytest.raises(ValueError, match=r"optim\.rates freezes all that phase '\w+' trains"):
        rates.freeze(distiller(method), given, IMAGES)


def test_where_every_phase_has_something_to_learn_nothing_is_told():
    made = distiller("ab")
    rates.freeze(made, {"*": 0.0, "comparisons": 1.0, "fc": 1.0}, IMAGES)
    assert made.phase_index == 0


def test_a_run_says_what_learns_at_which_rate_and_trains_so(settings, tmp_path):
    wanted = settings("none", "optim.rates.stage1=0", "optim.rates.stage2.0=0.1", "optim.rates.fc=10", epochs=1)
    result = execute(wanted, tmp_path / "run")
    said = {one["pattern"]: one for one in json.loads((tmp_path / "run" / "run.json").read_text())["rates"]}
    assert {pattern: one["factor"] for pattern, one in said.items()} == {"stage1": 0, "stage2.0": 0.1, "*": 1, "fc": 10}
    assert said["fc"]["names"] == ["fc.weight", "fc.bias"] and said["fc"]["parameters"] == 170
    names = [name for one in said.values() for name in one["names"]]
    assert sorted(names) == sorted(name for name, _ in result.student.named_parameters())
    torch.manual_seed(0)
    start = build("digits-1x4", num_classes=10, in_channels=1).state_dict()
    now = result.student.state_dict()
    same = {name for name in now if torch.equal(now[name], start[name])}
    assert {name for name in now if name.startswith("stage1.")} == same
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    (weights,) = [line["blocks"] for line in lines if line["kind"] == "weights"]
    assert weights["stage1"]["change"] == 0.0 < weights["stage2"]["relative"]
    # The log's is that of factor 1, after the last of three milestones.
    assert next(line["lr"] for line in lines if line["kind"] == "steps") == pytest.approx(0.1 * 0.2**3)


def test_patterns_in_another_order_are_another_run(settings, tmp_path):
    words = ["optim.rates.stage1=0.5", "optim.rates.stage1.0=2"]
    execute(settings("none", *words, epochs=1), tmp_path / "run")
    execute(settings("none", *words, epochs=1), tmp_path / "run")
    with pytest.raises(ValueError, match="optim.rates are in another order"):
        execute(settings("none", *reversed(words), epochs=1), tmp_path / "run")


@pytest.mark.parametrize("refused", [False, True])
def test_what_a_run_has_frozen_learns_again_afterwards(settings, tmp_path, refused):
    student = build("digits-1x4", num_classes=10, in_channels=1)
    student.fc.bias.requires_grad_(False)
    given = {"*": 0.0} if refused else {"stage1": 0.0}
    plain = settings("none")
    wanted = plain.model_copy(update={"optim": plain.optim.model_copy(update={"rates": given})})
    if refused:
        with pytest.raises(ValueError, match="freezes the whole student"):
            execute(wanted, tmp_path / "run", student=student)
    else:
        before = student.stage1[0].weight.detach().clone()
        execute(wanted, tmp_path / "run", student=student)
        assert torch.equal(student.stage1[0].weight, before)
    # What was frozen before stays so.
    assert [name for name, one in student.named_parameters() if not one.requires_grad] == ["fc.bias"]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in student.modules())


@pytest.mark.parametrize(("method", "labels"), [("ab", None), ("at", False)])
def test_a_phase_that_reaches_nothing_of_what_the_user_left_to_learn_is_told(method, labels):
    pair = build("digits-2x4", num_classes=10, in_channels=1), build("digits-2x4", num_classes=10, in_channels=1)
    pair[0].requires_grad_(False).fc.requires_grad_(True)
    made = Distiller(*pair, adjust(find(method), labels=labels), IMAGES)
    with pytest.raises(ValueError, match=r"the student's frozen parameters are all that phase '\w+' trains"):
        rates.freeze(made, None, IMAGES)
