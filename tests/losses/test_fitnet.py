"""Hints: their definition by hand, what does and does not change them, their gradient."""

import pytest
import torch

from understudy.losses.fitnet import hint


@pytest.fixture
def maps(generator):
    return torch.randn(2, 3, 4, 2, 5, generator=generator, dtype=torch.float64)


def by_hand(student, teacher):
    """One unit at a time."""
    pairs = zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    return sum((s - t) ** 2 / 2 for s, t in pairs) / len(student)


def test_is_half_the_squared_distance_of_one_image(maps):
    assert hint(*maps).item() == pytest.approx(by_hand(*maps), rel=1e-12)


def test_one_unit_off_by_two_costs_two():
    assert hint(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]])) == 2


def test_gradient_is_the_difference_over_the_batch_and_never_the_teachers(maps):
    student, teacher = (values.clone().requires_grad_() for values in maps)
    hint(student, teacher).backward()
    torch.testing.assert_close(student.grad, (maps[0] - maps[1]) / 3, rtol=0, atol=1e-12)
    assert teacher.grad is None


def test_ignores_one_turn_of_the_channels_on_both_sides_and_no_other_change(maps, generator):
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    student, teacher = (torch.einsum("ec,bchw->behw", turn, values) for values in maps)
    loss = hint(*maps)
    torch.testing.assert_close(hint(student, teacher), loss, rtol=1e-12, atol=0)
    for changed in (student, maps[0].flip(1), 2 * maps[0], maps[0] + 1):
        assert abs(hint(changed, maps[1]) - loss) > 1e-3


def test_passes_gradcheck_and_is_zero_with_a_zero_gradient_at_the_teacher(maps):
    student, teacher = maps[0].clone().requires_grad_(), maps[1]
    assert torch.autograd.gradcheck(lambda values: hint(values, teacher), (student,))
    equal = teacher.clone().requires_grad_()
    loss = hint(equal, teacher)
    loss.backward()
    assert loss == 0 and equal.grad.eq(0).all()


def test_is_the_mean_over_the_batch(maps):
    single = [hint(student[None], teacher[None]) for student, teacher in zip(*maps, strict=True)]
    torch.testing.assert_close(hint(*maps), torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_computes_low_precision_in_float32(maps):
    low = maps.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = hint(low[0], low[1])
    for loss in (hint(low[0], low[1]), inside):
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(by_hand(low[0].double(), low[1].double()), rel=1e-6)
    large = torch.full((1, 4, 64, 64), 100.0, dtype=torch.float16)
    assert hint(large, -large).item() == pytest.approx(4 * 64 * 64 * 200**2 / 2)


def test_names_both_shapes_where_they_differ(maps):
    with pytest.raises(ValueError, match=r"\(3, 1, 2, 5\).*\(3, 4, 2, 5\).*regressor"):
        hint(maps[0][:, :1], maps[1])


@pytest.mark.slow
def test_compiles_whole(maps):
    torch.testing.assert_close(torch.compile(hint, fullgraph=True, backend="eager")(*maps), hint(*maps))
