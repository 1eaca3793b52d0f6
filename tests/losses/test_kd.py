"""KD: its definition by hand, what must not change it, its gradient and its limits (methods T1-T3)."""

import math

import pytest
import torch

from understudy.losses import kd


@pytest.fixture
def logits(generator):
    return torch.randn(2, 5, 7, generator=generator, dtype=torch.float64) * 3


def by_hand(student, teacher, temperature):
    """One image and one class at a time."""
    total = 0.0
    for own, wanted in zip(student.tolist(), teacher.tolist(), strict=True):
        own_sum = sum(math.exp(z / temperature) for z in own)
        wanted_sum = sum(math.exp(z / temperature) for z in wanted)
        for z, t in zip(own, wanted, strict=True):
            p, q = math.exp(t / temperature) / wanted_sum, math.exp(z / temperature) / own_sum
            total += p * math.log(p / q)
    return temperature**2 * total / len(student)


@pytest.mark.parametrize("temperature", [1.0, 3.0, 4.0])
def test_is_the_divergence_of_the_softened_classes(logits, temperature):
    assert kd(*logits, temperature=temperature).item() == pytest.approx(by_hand(*logits, temperature), abs=1e-12)


def test_ignores_a_constant_added_to_an_images_logits(logits):
    student, teacher = logits
    moved = kd(student + torch.arange(5.0)[:, None], teacher - 3.0)
    torch.testing.assert_close(moved, kd(student, teacher), rtol=0, atol=1e-12)


def test_is_zero_where_both_agree(logits):
    assert kd(logits[0] + 2.0, logits[0]).item() == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_gradient_is_the_difference_of_probabilities(logits, temperature):
    student, teacher = logits[0].clone().requires_grad_(), logits[1]
    kd(student, teacher, temperature).backward()
    difference = (student.detach() / temperature).softmax(1) - (teacher / temperature).softmax(1)
    torch.testing.assert_close(student.grad, temperature * difference / 5, rtol=0, atol=1e-12)


def test_at_a_high_temperature_becomes_the_distance_of_centred_logits(logits):
    student, teacher = (z - z.mean(dim=1, keepdim=True) for z in logits)
    limit = (student - teacher).square().sum(dim=1).mean() / (2 * 7)
    assert kd(*logits, temperature=1e4).item() == pytest.approx(limit.item(), rel=1e-3)


def test_never_gives_the_teacher_a_gradient(logits):
    student, teacher = logits[0].clone().requires_grad_(), logits[1].clone().requires_grad_()
    kd(student, teacher).backward()
    assert teacher.grad is None


def test_is_finite_for_logits_of_a_thousand_and_passes_gradcheck(logits):
    far = torch.tensor([[1e3, -1e3, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = kd(far, -far.detach())
    loss.backward()
    assert loss.isfinite() and far.grad.isfinite().all()
    assert torch.autograd.gradcheck(lambda student: kd(student, logits[1]), (logits[0].clone().requires_grad_(),))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computes_low_precision_in_float32(logits, dtype):
    low = logits.to(dtype)
    loss = kd(low[0], low[1])
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_hand(low[0].double(), low[1].double(), 4.0), rel=1e-5)


def test_is_the_mean_over_the_batch(logits):
    single = [kd(student[None], teacher[None]) for student, teacher in zip(*logits, strict=True)]
    torch.testing.assert_close(kd(*logits), torch.stack(single).mean(), rtol=0, atol=1e-12)


def test_of_an_image_with_several_answers_it_is_their_sum(generator):
    student, teacher = torch.randn(2, 3, 4, 2, 5, generator=generator, dtype=torch.float64)
    expected = sum(by_hand(student[..., y, x], teacher[..., y, x], 4.0) for y in range(2) for x in range(5))
    assert kd(student, teacher).item() == pytest.approx(expected, rel=1e-12)


def test_at_temperature_one_it_is_soft_cross_entropy_without_the_teachers_entropy(logits):
    student, teacher = logits
    soft = teacher.softmax(dim=1)
    entropy = -(soft * soft.log()).sum(dim=1).mean()
    expected = torch.nn.functional.cross_entropy(student, soft)
    torch.testing.assert_close(kd(student, teacher, temperature=1.0) + entropy, expected, rtol=0, atol=1e-12)
