"""Activation boundaries: two independent definitions, invariances, edges and gradient (methods T6, T7)."""

import pytest
import torch

from understudy.losses import activation_agreement, activation_boundary
from understudy.losses.ab import signs
from understudy.methods import find


@pytest.fixture
def maps(generator):
    student = torch.randn(3, 4, 2, 5, generator=generator, dtype=torch.float64) * 2
    teacher = torch.randn(3, 4, 2, 5, generator=generator, dtype=torch.float64)
    teacher[0, 0] = 0.0  # exactly zero counts as inactive
    return student, teacher


def by_hand(student, teacher, margin):
    """One neuron at a time, with the paper's two branches."""
    total = 0.0
    for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True):
        if t > 0:
            total += (margin - s) ** 2 if s < margin else 0.0
        else:
            total += (margin + s) ** 2 if s > -margin else 0.0
    return total / len(student)


@pytest.mark.parametrize("margin", [0.75, 1.0, 4.0])
def test_is_the_squared_distance_to_the_margin_on_the_teachers_side(maps, margin):
    assert activation_boundary(*maps, margin=margin).item() == pytest.approx(by_hand(*maps, margin), rel=1e-12)


def test_equals_the_two_mask_form_in_value_and_gradient(maps):
    student, teacher = maps[0].clone().requires_grad_(), maps[1]
    twin = maps[0].clone().requires_grad_()
    active = (teacher > 0).double()
    above, below = (twin < 1).double(), (twin > -1).double()
    masks = ((twin - 1) ** 2 * active * above + (twin + 1) ** 2 * (1 - active) * below).sum() / 3
    loss = activation_boundary(student, teacher)
    loss.backward()
    masks.backward()
    torch.testing.assert_close(loss, masks, rtol=0, atol=1e-12)
    torch.testing.assert_close(student.grad, twin.grad, rtol=0, atol=1e-12)


def test_gradient_pulls_an_active_teachers_neuron_up_and_the_others_down():
    student = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    activation_boundary(student, torch.tensor([[5.0, -5.0]])).backward()
    # The talk prints the first branch with the wrong sign; minus the gradient is 2 (margin - s), upwards.
    assert student.grad.tolist() == [[-2.0, 2.0]]


def test_only_the_teachers_signs_count(maps):
    student, teacher = maps
    scale = torch.rand(teacher.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    expected = activation_boundary(student, teacher)
    for other in (teacher * scale, teacher.relu(), teacher > 0, (teacher > 0).to(torch.int8), signs(teacher)):
        torch.testing.assert_close(activation_boundary(student, other), expected, rtol=0, atol=0)


def test_is_zero_exactly_when_every_neuron_is_beyond_the_margin(maps):
    _, teacher = maps
    beyond = torch.where(teacher > 0, 1.0, -1.0).double()
    assert activation_boundary(beyond, teacher) == 0
    beyond[1, 2, 0, 3] *= 0.99
    assert activation_boundary(beyond, teacher) > 0


def test_a_student_at_zero_pays_the_squared_margin_for_each_neuron(maps):
    assert activation_boundary(torch.zeros(3, 4, 2, 5), maps[1], margin=1.5).item() == 40 * 1.5**2


def test_bounds_the_number_of_wrong_signs(maps):
    wrong = ((maps[0] > 0) != (maps[1] > 0)).sum().item()
    assert wrong > 0
    assert 3 * activation_boundary(*maps, margin=2.0).item() >= 4.0 * wrong


def test_scales_with_the_square_of_student_and_margin(maps):
    torch.testing.assert_close(
        activation_boundary(3 * maps[0], maps[1], margin=3.0), 9 * activation_boundary(*maps), rtol=1e-12, atol=0
    )


def test_the_authors_weights_equalise_the_layers_of_a_wide_network(generator):
    """3/1000 (S3 + S2/2 + S1/4) is 49.152 times the sum of the means, for 64x32x32, 128x16x16 and 256x8x8."""
    (term,) = find("ab").terms
    weighted, means = 0.0, 0.0
    for shape, weight in zip(((64, 32, 32), (128, 16, 16), (256, 8, 8)), term.layer_weights(3), strict=True):
        student, teacher = torch.randn(2, 2, *shape, generator=generator, dtype=torch.float64)
        weighted += weight * term.distance(student, teacher, **term.options).item()
        means += torch.where(teacher > 0, 1 - student, 1 + student).clamp(min=0).square().mean().item()
    assert weighted == pytest.approx(49.152 * means, rel=1e-10)


def test_passes_gradcheck_and_is_the_mean_over_the_batch(maps):
    student, teacher = maps
    assert torch.autograd.gradcheck(lambda s: activation_boundary(s, teacher), (student.clone().requires_grad_(),))
    single = [activation_boundary(s[None], t[None]) for s, t in zip(student, teacher, strict=True)]
    torch.testing.assert_close(activation_boundary(student, teacher), torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_computes_low_precision_in_float32(maps):
    low = maps[0].to(torch.bfloat16)
    loss = activation_boundary(low, maps[1].to(torch.bfloat16))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_hand(low.double(), maps[1], 1.0), rel=1e-6)


def test_agreement_counts_equal_signs(maps):
    student, teacher = maps
    equal = [(s > 0) == (t > 0) for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)]
    assert activation_agreement(student, teacher).item() == pytest.approx(sum(equal) / len(equal))
    assert activation_agreement(teacher, teacher) == 1
