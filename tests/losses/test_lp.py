"""Distances under other powers: their definition by hand, relation to the hint, and the gradient where both agree."""

import math

import pytest
import torch

from understudy.losses.fitnet import hint
from understudy.losses.lp import lp

POWERS = [2.0, 1.0, 0.5, 3.0]


@pytest.fixture
def maps(generator):
    """Random maps in which about a quarter of the units are inactive on both sides, and a channel is equal."""
    maps = torch.randn(2, 3, 4, 2, 5, generator=generator, dtype=torch.float64)
    maps[0, :, 0] = maps[1, :, 0]
    return maps


def by_hand(student, teacher, p, pre_activation=False):
    """One unit at a time."""
    total = 0.0
    for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True):
        total += abs(t - s) ** p if pre_activation else abs(max(t, 0.0) - max(s, 0.0)) ** p
    return total / len(student)


@pytest.mark.parametrize("pre_activation", [False, True])
@pytest.mark.parametrize("p", POWERS)
def test_is_the_sum_of_the_powers_of_the_differences(maps, p, pre_activation):
    expected = by_hand(*maps, p, pre_activation)
    assert lp(*maps, p=p, pre_activation=pre_activation).item() == pytest.approx(expected, rel=1e-12)


def test_at_two_is_twice_the_hint_of_what_the_relu_lets_through(maps):
    torch.testing.assert_close(lp(*maps), 2 * hint(maps[0].relu(), maps[1].relu()), rtol=1e-12, atol=0)
    torch.testing.assert_close(lp(*maps, pre_activation=True), 2 * hint(*maps), rtol=1e-12, atol=0)


@pytest.mark.parametrize("p", [*POWERS, 0.1])
def test_gradient_is_zero_where_both_agree_and_the_powers_elsewhere(maps, p):
    student, teacher = (values.clone().requires_grad_() for values in maps)
    lp(student, teacher, p=p).backward()
    expected = torch.zeros_like(maps[0])
    for place in torch.cartesian_prod(*map(torch.arange, maps[0].shape)).tolist():
        s, t = maps[0][tuple(place)].item(), maps[1][tuple(place)].item()
        difference = max(s, 0.0) - max(t, 0.0)
        if s > 0 and difference != 0:
            expected[tuple(place)] = math.copysign(p * abs(difference) ** (p - 1) / 3, difference)
    torch.testing.assert_close(student.grad, expected, rtol=1e-10, atol=1e-12)
    assert teacher.grad is None


@pytest.mark.parametrize("p", POWERS)
def test_ignores_how_negative_either_side_is_after_the_relu_only(maps, p):
    deeper = torch.where(maps < 0, 7 * maps, maps)
    torch.testing.assert_close(lp(*deeper, p=p), lp(*maps, p=p), rtol=1e-12, atol=0)
    assert lp(*deeper, p=p, pre_activation=True) > lp(*maps, p=p, pre_activation=True)


@pytest.mark.parametrize("p", POWERS)
def test_passes_gradcheck_away_from_equality(generator, p):
    student, teacher = torch.rand(2, 2, 3, 2, 2, generator=generator, dtype=torch.float64) + 0.1
    student = (student + 2.0).requires_grad_()
    for pre_activation in (False, True):
        assert torch.autograd.gradcheck(lambda values: lp(values, teacher, p, pre_activation), (student,))  # noqa: B023


def test_is_the_mean_over_the_batch(maps):
    single = [lp(student[None], teacher[None], p=0.5) for student, teacher in zip(*maps, strict=True)]
    torch.testing.assert_close(lp(*maps, p=0.5), torch.stack(single).mean(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("p", [2.0, 0.5])
def test_computes_low_precision_in_float32(maps, p):
    low = maps.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = lp(low[0], low[1], p=p)
    for loss in (lp(low[0], low[1], p=p), inside):
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(by_hand(low[0].double(), low[1].double(), p), rel=1e-5)


def test_does_not_hide_a_student_that_is_not_a_number(maps):
    maps[0, 0, 1, 0, 0] = math.nan
    assert lp(*maps, p=0.5).isnan()


@pytest.mark.parametrize("p", [0.0, -1.0, math.inf, math.nan])
def test_refuses_a_power_that_is_not_positive(maps, p):
    with pytest.raises(ValueError, match=f"p is {p}.*positive"):
        lp(*maps, p=p)


def test_names_both_shapes_where_they_differ(maps):
    with pytest.raises(ValueError, match=r"\(3, 1, 2, 5\).*\(3, 4, 2, 5\).*connector"):
        lp(maps[0][:, :1], maps[1])


@pytest.mark.slow
def test_compiles_whole(maps):
    compiled = torch.compile(lp, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*maps, p=0.5), lp(*maps, p=0.5))
