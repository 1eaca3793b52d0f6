"""Neuron selectivity transfer: equation 4 by hand for each kernel, its other forms, invariances, dead channels."""

import math

import pytest
import torch

from understudy.losses.at import attention
from understudy.losses.nst import nst

KERNELS = ["linear", "polynomial", "gaussian"]


@pytest.fixture
def maps(generator):
    """Few positions for the many channels, so that the polynomial kernel's cheaper way is over positions."""
    student = torch.randn(3, 4, 1, 3, generator=generator, dtype=torch.float64)
    teacher = torch.randn(3, 6, 1, 3, generator=generator, dtype=torch.float64) + 0.5
    return student, teacher


@pytest.fixture
def wide_maps(generator):
    """Many positions for the few channels: the cheaper way is over channels."""
    student = torch.randn(3, 2, 3, 5, generator=generator, dtype=torch.float64)
    teacher = torch.randn(3, 3, 3, 5, generator=generator, dtype=torch.float64) + 0.5
    return student, teacher


def rows_by_hand(image):
    """The channels of one image as unit vectors, lists of numbers."""
    rows = []
    for row in image.flatten(1).tolist():
        length = math.sqrt(sum(value**2 for value in row))
        rows.append([value / length if length else 0.0 for value in row])
    return rows


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def distance(x, y):
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def variance_by_hand(student, teacher):
    return sum(distance(s, t) for s in student for t in teacher) / (len(student) * len(teacher))


def discrepancy(student, teacher, kernel):
    """Equation 4 with its diagonals, one pair of channels at a time."""
    own = sum(kernel(x, y) for x in student for y in student) / len(student) ** 2
    wanted = sum(kernel(x, y) for x in teacher for y in teacher) / len(teacher) ** 2
    cross = sum(kernel(x, y) for x in student for y in teacher) / (len(student) * len(teacher))
    return own + wanted - 2 * cross


def by_hand(student, teacher, name, variances=None):
    total = 0.0
    for index, images in enumerate(zip(student, teacher, strict=True)):
        own, wanted = (rows_by_hand(image) for image in images)
        variance = variances[index] if variances else variance_by_hand(own, wanted)
        kernels = {
            "linear": dot,
            "polynomial": lambda x, y: dot(x, y) ** 2,
            "gaussian": lambda x, y, variance=variance: math.exp(-distance(x, y) / (2 * variance)),
        }
        total += discrepancy(own, wanted, kernels[name])
    return total / len(student)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("fixture", ["maps", "wide_maps"])
def test_is_the_squared_discrepancy_of_the_unit_channels(request, fixture, kernel):
    student, teacher = request.getfixturevalue(fixture)
    assert nst(student, teacher, kernel).item() == pytest.approx(by_hand(student, teacher, kernel), abs=1e-10)


def test_is_polynomial_unless_told_otherwise(maps):
    assert nst(*maps) == nst(*maps, kernel="polynomial")


def test_linear_is_the_distance_of_the_mean_unit_channels(maps):
    total = 0.0
    for images in zip(*maps, strict=True):
        means = []
        for image in images:
            rows = rows_by_hand(image)
            means.append([sum(row[p] for row in rows) / len(rows) for p in range(len(rows[0]))])
        total += distance(*means)
    assert nst(*maps, kernel="linear").item() == pytest.approx(total / 3, abs=1e-12)


def gram_difference(images, scaled):
    """Sum of squares of the difference of the Gram matrices over positions, divided by the channels or not."""
    student, teacher = (rows_by_hand(image) for image in images)
    total = 0.0
    for p in range(len(student[0])):
        for q in range(len(student[0])):
            own, wanted = (sum(row[p] * row[q] for row in rows) for rows in (student, teacher))
            total += (own / len(student) - wanted / len(teacher)) ** 2 if scaled else (own - wanted) ** 2
    return total


@pytest.mark.parametrize("fixture", ["maps", "wide_maps"])
def test_polynomial_is_the_difference_of_gram_matrices_divided_by_the_channels(request, fixture):
    student, teacher = request.getfixturevalue(fixture)
    loss = nst(student, teacher, "polynomial").item()
    pairs = list(zip(student, teacher, strict=True))
    assert loss == pytest.approx(sum(gram_difference(pair, scaled=True) for pair in pairs) / 3, abs=1e-10)
    # Equation 9 as printed, without the numbers of channels, is another number: the traces alone differ by C - D.
    as_printed = sum(gram_difference(pair, scaled=False) for pair in pairs) / 3
    num_positions = student[0, 0].numel()
    assert as_printed >= (student.shape[1] - teacher.shape[1]) ** 2 / num_positions > 0
    assert as_printed > 2 * loss


@pytest.mark.parametrize("num_positions", [1, 2, 3, 4, 5, 6, 7])
def test_polynomial_goes_the_cheaper_way_and_both_ways_agree(generator, monkeypatch, num_positions):
    student = torch.randn(2, 3, 1, num_positions, generator=generator, dtype=torch.float64)
    teacher = torch.randn(2, 5, 1, num_positions, generator=generator, dtype=torch.float64)
    shapes = []
    bmm = torch.bmm

    def recorded(left, right):
        shapes.append((left.shape[1], left.shape[2], right.shape[2]))
        return bmm(left, right)

    monkeypatch.setattr(torch, "bmm", recorded)
    loss = nst(student, teacher, "polynomial")
    costs = {"positions": (3 + 5) * num_positions**2, "channels": (9 + 25 + 15) * num_positions}
    assert sum(rows * inner * columns for rows, inner, columns in shapes) == min(costs.values())
    assert loss.item() == pytest.approx(by_hand(student, teacher, "polynomial"), abs=1e-10)


def test_gaussian_takes_its_variance_from_the_cross_pairs(maps):
    """For unit vectors the mean squared distance of the cross pairs is 2 - 2 <mean of one, mean of the other>."""
    variances = []
    for images in zip(*maps, strict=True):
        means = [torch.tensor(rows_by_hand(image), dtype=torch.float64).mean(dim=0) for image in images]
        variances.append(2 - 2 * (means[0] @ means[1]).item())
    assert nst(*maps, kernel="gaussian").item() == pytest.approx(by_hand(*maps, "gaussian", variances), abs=1e-10)


def test_gaussian_variance_is_not_differentiated(maps):
    student, teacher = maps[0][:1].clone().requires_grad_(), maps[1][:1]
    nst(student, teacher, "gaussian").backward()
    variances = [variance_by_hand(rows_by_hand(student[0].detach()), rows_by_hand(teacher[0]))]
    expected = []
    for index in range(student.numel()):
        step = torch.zeros(student.numel(), dtype=torch.float64)
        step[index] = 1e-6
        up, down = (
            by_hand(student.detach() + sign * step.view_as(student), teacher, "gaussian", variances) for sign in (1, -1)
        )
        expected.append((up - down) / 2e-6)
    assert student.grad.flatten().tolist() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("kernel", KERNELS)
def test_ignores_order_scale_and_repetition_of_channels_and_a_common_rotation_of_positions(maps, generator, kernel):
    student, teacher = maps
    expected = nst(student, teacher, kernel)
    scale = torch.rand(3, 4, 1, 1, generator=generator, dtype=torch.float64) * 9 + 0.1
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    for moved in (
        nst(student[:, torch.randperm(4, generator=generator)], teacher, kernel),
        nst(scale * student, 5 * teacher, kernel),
        nst(student.repeat(1, 3, 1, 1), teacher.repeat(1, 2, 1, 1), kernel),
        nst(student @ rotation, teacher @ rotation, kernel),
    ):
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


def test_only_the_polynomial_ignores_the_channels_signs(maps):
    signs = torch.tensor([1.0, -1.0, -1.0, 1.0])[:, None, None]
    for kernel in KERNELS:
        is_same = torch.allclose(nst(signs * maps[0], maps[1], kernel), nst(*maps, kernel), rtol=0, atol=1e-10)
        assert is_same == (kernel == "polynomial")


@pytest.mark.parametrize("kernel", KERNELS)
def test_is_never_negative_and_zero_for_the_same_channels_in_another_order(maps, wide_maps, kernel):
    for student, teacher in (maps, wide_maps):
        assert nst(student, teacher, kernel) > 0
        assert nst(3 * teacher.flip(1), teacher, kernel).item() == pytest.approx(0.0, abs=1e-14)


def test_linear_agrees_with_attention_where_all_channels_are_equally_long(generator):
    """Then the mean unit channel is the map of power 1 up to its length; here both networks' have the same length."""
    teacher = torch.rand(1, 4, 2, 3, generator=generator, dtype=torch.float64)
    teacher = 2.5 * teacher / teacher.flatten(2).norm(dim=2)[..., None, None]
    student = teacher.flip(3)
    rows = rows_by_hand(teacher[0])
    mean = [sum(row[p] for row in rows) / 4 for p in range(6)]
    expected = dot(mean, mean) * attention(student, teacher, power=1.0).item()
    assert expected > 1e-3
    assert nst(student, teacher, "linear").item() == pytest.approx(expected, abs=1e-10)
    uneven = teacher * torch.tensor([1.0, 2.0, 5.0, 0.1])[:, None, None]
    assert nst(uneven.flip(3), uneven, "linear").item() == pytest.approx(expected, abs=1e-10)
    assert abs(dot(mean, mean) * attention(uneven.flip(3), uneven, power=1.0).item() - expected) > 1e-3


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("fixture", ["maps", "wide_maps"])
def test_a_dead_channel_counts_as_a_zero_vector_and_receives_no_gradient(request, fixture, kernel):
    student, teacher = (feature.clone() for feature in request.getfixturevalue(fixture))
    student[0, 1] = 0.0
    teacher[2, 0] = 0.0
    student.requires_grad_()
    loss = nst(student, teacher, kernel)
    loss.backward()
    assert loss.item() == pytest.approx(by_hand(student.detach(), teacher, kernel), abs=1e-10)
    assert student.grad.isfinite().all() and student.grad[0, 1].eq(0).all() and student.grad[0, 0].ne(0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gaussian_is_zero_and_finite_where_every_channel_is_the_same(generator, dtype):
    row = torch.randn(2, 1, 4, 4, generator=generator, dtype=dtype)
    scale = torch.rand(2, 5, 1, 1, generator=generator, dtype=dtype) + 0.5
    student = (row * scale).requires_grad_()
    loss = nst(student, row * scale[:, :3].flip(1), "gaussian")
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=10 * torch.finfo(dtype).eps)
    assert student.grad.abs().max() < 100 * torch.finfo(dtype).eps
    dead = torch.zeros(2, 5, 4, 4, dtype=dtype, requires_grad=True)
    loss = nst(dead, torch.zeros(2, 3, 4, 4, dtype=dtype), "gaussian")
    loss.backward()
    assert loss == 0 and dead.grad.eq(0).all()


@pytest.mark.parametrize("kernel", ["linear", "polynomial"])
def test_passes_gradcheck(maps, wide_maps, kernel):
    for student, teacher in (maps, wide_maps):
        student = student.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda s, teacher=teacher: nst(s, teacher, kernel), (student,))


@pytest.mark.parametrize("kernel", KERNELS)
def test_is_the_mean_over_the_batch(maps, kernel):
    single = [nst(s[None], t[None], kernel) for s, t in zip(*maps, strict=True)]
    torch.testing.assert_close(nst(*maps, kernel), torch.stack(single).mean(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_never_gives_the_teacher_a_gradient(maps, kernel):
    student, teacher = (feature.clone().requires_grad_() for feature in maps)
    nst(student, teacher, kernel).backward()
    assert student.grad.any() and teacher.grad is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("fixture", ["maps", "wide_maps"])
def test_computes_low_precision_in_float32(request, fixture, kernel, dtype):
    student, teacher = (feature.to(dtype) for feature in request.getfixturevalue(fixture))
    for is_enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_enabled):
            loss = nst(student, teacher, kernel)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(by_hand(student.double(), teacher.double(), kernel), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
def test_compiles_to_the_same_value(maps, kernel):
    compiled = torch.compile(nst, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*maps, kernel), nst(*maps, kernel), rtol=1e-12, atol=0)


def test_says_what_to_do_about_unequal_sizes_and_unknown_kernels(maps, wide_maps):
    with pytest.raises(ValueError, match=r"\(3, 4, 1, 3\) of the student and \(3, 3, 3, 5\).*pool the larger map"):
        nst(maps[0], wide_maps[1])
    with pytest.raises(ValueError, match="no kernel 'poly'; known: linear, polynomial, gaussian; nearest: polynomial"):
        nst(*maps, kernel="poly")
