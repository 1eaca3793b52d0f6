"""KD-SVD: its definition by hand, what must not change it, its gradient, its edges and its precision."""

import math

import numpy as np
import pytest
import torch

from understudy.losses.kd_svd import kd_svd

# In front more positions than channels, at the back fewer.
SHAPES = ((3, 4, 3, 4), (3, 6, 2, 2))


@pytest.fixture
def maps(generator):
    """Student's front and back, teacher's front and back."""
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES * 2]


def decomposed(image, k):
    channels = image.shape[0]
    _, values, rows = np.linalg.svd(image.reshape(channels, -1).T.numpy(), full_matrices=False)
    return rows[:k].tolist(), values[:k].tolist()


def weighted_by_hand(student, teacher, k):
    """The k vectors of one image of a tap, aligned and scaled, with python numbers."""
    wanted, values = decomposed(teacher, k)
    candidates, _ = decomposed(student, k + 1)
    norm = math.sqrt(sum(value**2 for value in values))
    student_vectors, teacher_vectors = [], []
    for vector, value in zip(wanted, values, strict=True):
        vector = [v if sum(vector) > 0 else -v for v in vector]
        cosines = [sum(a * b for a, b in zip(vector, candidate, strict=True)) for candidate in candidates]
        best = max(range(len(cosines)), key=lambda j: abs(cosines[j]))
        sign = 1 if cosines[best] > 0 else -1
        student_vectors.append([sign * v * value / norm for v in candidates[best]])
        teacher_vectors.append([v * value / norm for v in vector])
    return student_vectors, teacher_vectors


def by_hand(student_front, student_back, teacher_front, teacher_back, k=1):
    total = 0.0
    for image in range(len(student_front)):
        own_front, front = weighted_by_hand(student_front[image], teacher_front[image], k)
        own_back, back = weighted_by_hand(student_back[image], teacher_back[image], k)
        for i in range(k):
            for own_f, f in zip(own_front[i], front[i], strict=True):
                for own_g, g in zip(own_back[i], back[i], strict=True):
                    total += (math.exp(-((own_f - own_g) ** 2) / 8) - math.exp(-((f - g) ** 2) / 8)) ** 2
    return total / len(student_front)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_is_the_squared_difference_of_the_relations(maps, k):
    assert kd_svd(*maps, k=k).item() == pytest.approx(by_hand(*maps, k=k), rel=1e-10)


def test_with_one_vector_the_singular_values_do_not_matter(maps):
    """Adding a multiple of the leading part changes the values and not the vectors."""
    teacher = maps[2]
    left, values, right = torch.linalg.svd(teacher.flatten(2), full_matrices=False)
    leading = values[:, :1, None] * left[:, :, :1] @ right[:, :1]
    changed = [*maps[:2], teacher + 3 * leading.view_as(teacher), maps[3]]
    torch.testing.assert_close(kd_svd(*changed), kd_svd(*maps), rtol=1e-9, atol=0)
    assert not torch.isclose(kd_svd(*changed, k=2), kd_svd(*maps, k=2), rtol=1e-3)


def test_is_zero_where_both_agree(maps):
    assert kd_svd(*maps[2:], *maps[2:], k=2) == 0
    opposite = [-maps[2], 2 * maps[3]]
    assert kd_svd(*opposite, *maps[2:], k=2).item() == pytest.approx(0.0, abs=1e-25)


def test_ignores_scale_and_the_order_or_rotation_of_positions(maps, generator):
    expected = kd_svd(*maps, k=2)
    for index, scale in enumerate((0.01, 5.0, 70.0, 0.3)):
        feature = maps[index]
        positions = feature.shape[2] * feature.shape[3]
        rotation, _ = torch.linalg.qr(torch.randn(positions, positions, generator=generator, dtype=torch.float64))
        order = torch.randperm(positions, generator=generator)
        for changed in (scale * feature, feature.flatten(2) @ rotation, feature.flatten(2)[:, :, order]):
            others = [*maps]
            others[index] = changed.reshape(feature.shape)
            torch.testing.assert_close(kd_svd(*others, k=2), expected, rtol=1e-9, atol=0)


def test_does_not_depend_on_the_signs_of_the_linear_algebra_library(maps, monkeypatch):
    expected, eigh, calls = kd_svd(*maps, k=2), torch.linalg.eigh, []

    def flipped(matrix):
        values, basis = eigh(matrix)
        calls.append(matrix)
        return values, basis * (-1) ** len(calls)

    monkeypatch.setattr(torch.linalg, "eigh", flipped)
    torch.testing.assert_close(kd_svd(*maps, k=2), expected, rtol=1e-12, atol=0)
    assert len(calls) == 4


@pytest.mark.parametrize("k", [1, 2])
def test_gradient_is_that_of_finite_differences_of_the_definition(maps, k):
    students = [feature.clone().requires_grad_() for feature in maps[:2]]
    kd_svd(*students, *maps[2:], k=k).backward()
    for tap, student in enumerate(students):
        for entry in range(0, student.numel(), 5):
            moved = []
            for step in (1e-5, -1e-5):
                others = [feature.clone() for feature in maps]
                others[tap].view(-1)[entry] += step
                moved.append(by_hand(*others, k=k))
            slope = (moved[0] - moved[1]) / 2e-5
            assert student.grad.view(-1)[entry].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert students[0].grad.norm() > 1e-4


def test_passes_gradcheck(maps):
    students = tuple(feature.clone().requires_grad_() for feature in maps[:2])
    assert torch.autograd.gradcheck(lambda front, back: kd_svd(front, back, *maps[2:], k=2), students)


def test_a_step_against_the_gradient_lowers_the_loss(maps):
    students = [feature.clone().requires_grad_() for feature in maps[:2]]
    loss = kd_svd(*students, *maps[2:])
    loss.backward()
    moved = [student.detach() - 0.1 * student.grad / student.grad.norm() for student in students]
    assert kd_svd(*moved, *maps[2:]) < loss


def test_dead_channels_and_maps_of_zeros_have_finite_gradients(maps):
    dead = [feature.clone() for feature in maps]
    for feature in dead:
        feature[:, 1:3] = 0.0
        feature[0] = 0.0  # the whole image
    for which in ([0], [1], [0, 1], [2], [3], [0, 1, 2, 3]):
        chosen = [dead[index] if index in which else maps[index] for index in range(4)]
        students = [feature.clone().requires_grad_() for feature in chosen[:2]]
        loss = kd_svd(*students, *chosen[2:], k=2)
        loss.backward()
        assert loss.isfinite()
        assert all(student.grad.isfinite().all() and student.grad.abs().max() < 10 for student in students)


def test_is_the_mean_over_the_batch(maps):
    single = [kd_svd(*(feature[image, None] for feature in maps), k=2) for image in range(3)]
    torch.testing.assert_close(kd_svd(*maps, k=2), torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_students_map_may_have_another_size(maps, generator):
    front = torch.randn(3, 4, 5, 1, generator=generator, dtype=torch.float64)
    assert kd_svd(front, *maps[1:]).item() == pytest.approx(by_hand(front, *maps[1:]), rel=1e-10)


def test_never_gives_the_teacher_a_gradient(maps):
    maps = [feature.clone().requires_grad_() for feature in maps]
    kd_svd(*maps).backward()
    assert maps[0].grad.any() and maps[1].grad.any()
    assert maps[2].grad is None and maps[3].grad is None


def test_keeps_its_digits_in_float32_near_the_teacher(generator):
    """At width 64 the relations are 1 - 1e-3: subtracted in float32 a small difference would be rounding."""
    teacher = [torch.randn(2, 64, 4, 4, generator=generator).abs() for _ in range(2)]
    student = [feature + 1e-3 * torch.randn(feature.shape, generator=generator) for feature in teacher]
    exact = kd_svd(*(feature.double() for feature in student + teacher)).item()
    assert kd_svd(*student, *teacher).item() == pytest.approx(exact, rel=2e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computes_low_precision_in_float32(maps, dtype):
    low = [feature.to(dtype) for feature in maps]
    with torch.autocast("cpu", torch.bfloat16):
        loss = kd_svd(*low, k=2)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_hand(*(feature.double() for feature in low), k=2), rel=1e-4)


def test_unequal_widths_are_an_error_that_proposes_a_connector(maps):
    with pytest.raises(ValueError, match=r"\(3, 2, 3, 4\).*\(3, 4, 3, 4\).*1x1 connector"):
        kd_svd(maps[0][:, :2], *maps[1:])


def test_more_vectors_than_the_teachers_map_has_are_an_error(maps):
    with pytest.raises(ValueError, match="k=5"):
        kd_svd(*maps, k=5)


@pytest.mark.slow
def test_compiles_to_the_same_value_and_gradient(maps):
    gradients = []
    for loss in (kd_svd, torch.compile(kd_svd, fullgraph=True, backend="eager")):
        front = maps[0].clone().requires_grad_()
        value = loss(front, *maps[1:], k=2)
        value.backward()
        gradients.append((value.detach(), front.grad))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=1e-15)
