"""DTL: its definition by hand, its invariance and its relation to KD, its edges and gradient."""

import pytest
import torch

from understudy.losses.dtl import dtl
from understudy.losses.kd import kd


@pytest.fixture
def logits(generator):
    return torch.randn(2, 5, 10, generator=generator, dtype=torch.float64) * 3


def by_hand(student, teacher):
    """One image and one class at a time, each side centred on its own."""
    total = 0.0
    for own, wanted in zip(student.tolist(), teacher.tolist(), strict=True):
        own_mean, wanted_mean = sum(own) / len(own), sum(wanted) / len(wanted)
        squares = [((t - wanted_mean) - (s - own_mean)) ** 2 for s, t in zip(own, wanted, strict=True)]
        total += sum(squares) / len(squares)
    return total / len(student)


def test_is_the_mean_squared_difference_of_centred_logits(logits):
    assert dtl(*logits).item() == pytest.approx(by_hand(*logits), rel=1e-12)


def test_ignores_a_constant_added_to_an_images_logits(logits):
    student, teacher = logits
    moved = dtl(student + torch.arange(5.0)[:, None], teacher - 3.0)
    torch.testing.assert_close(moved, dtl(student, teacher), rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_classes", [3, 10])
def test_is_twice_the_limit_of_kd_for_a_high_temperature(logits, num_classes):
    student, teacher = logits[:, :, :num_classes]
    assert kd(student, teacher, temperature=1e4).item() == pytest.approx(dtl(student, teacher).item() / 2, rel=1e-3)


def test_is_zero_only_where_the_difference_is_constant(logits):
    student = logits[0] + 2.0
    assert dtl(student, logits[0]).item() == pytest.approx(0.0, abs=1e-14)
    student[3, 4] += 0.1
    assert dtl(student, logits[0]) > 1e-4


def test_gradient_is_twice_the_centred_difference_and_never_the_teachers(logits):
    student, teacher = (values.clone().requires_grad_() for values in logits)
    dtl(student, teacher).backward()
    difference = (logits[0] - logits[1]) - (logits[0] - logits[1]).mean(dim=1, keepdim=True)
    torch.testing.assert_close(student.grad, 2 * difference / 50, rtol=0, atol=1e-12)
    assert teacher.grad is None


def test_passes_gradcheck_also_where_both_agree(logits):
    for student in (logits[0], logits[1]):
        assert torch.autograd.gradcheck(lambda values: dtl(values, logits[1]), (student.clone().requires_grad_(),))


def test_is_the_mean_over_the_batch(logits):
    single = [dtl(student[None], teacher[None]) for student, teacher in zip(*logits, strict=True)]
    torch.testing.assert_close(dtl(*logits), torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_computes_low_precision_in_float32(logits):
    low = logits.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = dtl(low[0], low[1])
    for loss in (dtl(low[0], low[1]), inside):
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(by_hand(low[0].double(), low[1].double()), rel=1e-5)


def test_names_both_shapes_where_the_heads_differ(logits):
    with pytest.raises(ValueError, match=r"\(5, 10\).*\(5, 1\).*second head"):
        dtl(logits[0][:, :1], logits[1])


@pytest.mark.slow
def test_compiles_whole(logits):
    torch.testing.assert_close(torch.compile(dtl, fullgraph=True, backend="eager")(*logits), dtl(*logits))
