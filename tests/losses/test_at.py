"""Attention transfer: both forms by hand, what must not change them, zero maps, odd sizes, gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from understudy.losses.at import (
    attention,
    attention_energy,
    attention_gradient,
    attention_map,
    attention_to_energy,
)


@pytest.fixture
def maps(generator):
    student = torch.randn(3, 4, 2, 5, generator=generator, dtype=torch.float64)
    teacher = torch.randn(3, 6, 2, 5, generator=generator, dtype=torch.float64)
    return student, teacher


@pytest.fixture
def problem(generator):
    """Two smooth networks, three images and their labels, all in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student, teacher = (
            nn.Sequential(
                nn.Conv2d(2, width, 3),
                nn.Softplus(),
                nn.Conv2d(width, 3, 2),
                nn.Softplus(),
                nn.Flatten(),
                nn.Linear(3, 4),
            ).double()
            for width in (3, 5)
        )
    images = torch.randn(3, 2, 4, 4, generator=generator, dtype=torch.float64).requires_grad_()
    return student, teacher.requires_grad_(False), torch.tensor([0, 3, 1]), images


def map_by_hand(feature, power):
    """One image, one position, one channel at a time."""
    maps = []
    for image in feature.tolist():
        rows, columns = range(len(image[0])), range(len(image[0][0]))
        energies = [sum(abs(channel[i][j]) ** power for channel in image) for i in rows for j in columns]
        length = math.sqrt(sum(energy**2 for energy in energies))
        maps.append([energy / length if length else 0.0 for energy in energies])
    return maps


def by_hand(student, teacher, power=2.0):
    pairs = zip(map_by_hand(student, power), map_by_hand(teacher, power), strict=True)
    return sum((s - t) ** 2 for own, wanted in pairs for s, t in zip(own, wanted, strict=True)) / len(student)


def gradient_by_hand(network, images, labels):
    """Central differences of each image's own cross-entropy, one pixel at a time."""
    gradients = []
    for image, label in zip(images.detach(), labels, strict=True):
        values = []
        for pixel in range(image.numel()):
            step = torch.zeros(image.numel(), dtype=torch.float64)
            step[pixel] = 1e-5
            moved = torch.stack([image + step.view_as(image), image - step.view_as(image)])
            with torch.no_grad():
                up, down = (-logits.log_softmax(0)[label].item() for logits in network(moved))
            values.append((up - down) / 2e-5)
        gradients.append(values)
    return gradients


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0, 4])
def test_map_is_the_unit_vector_of_the_summed_powers(maps, power):
    expected = torch.tensor(map_by_hand(maps[0], power), dtype=torch.float64)
    torch.testing.assert_close(attention_map(maps[0], power), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_loss_is_the_squared_distance_of_the_maps(maps, power):
    assert attention(*maps, power=power).item() == pytest.approx(by_hand(*maps, power), rel=1e-12)


def test_ignores_channel_order_signs_and_each_images_scale(maps, generator):
    signs = torch.tensor([1.0, -1.0, -1.0, 1.0])[:, None, None]
    scale = torch.tensor([0.1, 1.0, 30.0])[:, None, None, None]
    moved = (signs * scale * maps[0])[:, torch.randperm(4, generator=generator)]
    for power in (1.0, 2.0, 3.0):
        torch.testing.assert_close(attention_map(moved, power), attention_map(maps[0], power), rtol=0, atol=1e-12)


def test_ignores_an_orthogonal_mixing_of_channels_for_power_two_only(maps, generator):
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))
    mixed = torch.einsum("cd,bdhw->bchw", rotation, maps[0])
    torch.testing.assert_close(attention_map(mixed), attention_map(maps[0]), rtol=0, atol=1e-12)
    assert not torch.allclose(attention_map(mixed, 1.0), attention_map(maps[0], 1.0), atol=1e-3)


def test_lies_between_zero_for_equal_maps_and_two_for_maps_without_a_common_position(maps):
    assert attention(maps[0], maps[0]) == 0
    left, right = torch.zeros(2, 1, 3, 1, 2, dtype=torch.float64)
    left[..., 0], right[..., 1] = 1.0, 5.0
    assert attention(left, right).item() == pytest.approx(2.0, rel=1e-12)
    assert 0 < attention(*maps) < 2


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_a_map_of_zeros_stays_zero_and_has_a_zero_gradient(maps, power):
    student, teacher = maps[0].clone(), maps[1]
    student[1] = 0.0
    student.requires_grad_()
    loss = attention(student, teacher, power)
    loss.backward()
    assert attention_map(student, power)[1].eq(0).all()
    assert loss.item() == pytest.approx(by_hand(student, teacher, power), rel=1e-12)
    assert student.grad.isfinite().all() and student.grad[1].eq(0).all() and student.grad[0].ne(0).all()


@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_keeps_its_digits_for_tiny_and_huge_features_in_float32(maps, scale):
    student, teacher = (feature.float() for feature in maps)
    torch.testing.assert_close(
        attention(scale * student, teacher, 4), attention(student, teacher, 4), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("sizes", [((4, 6), (2, 3)), ((2, 3), (4, 6)), ((4, 3), (2, 6))])
def test_averages_the_larger_feature_down_to_the_smaller(generator, sizes):
    student, teacher = (torch.randn(2, 3, *size, generator=generator, dtype=torch.float64) for size in sizes)

    def shrunk(feature):
        """The mean of each channel over each of the 2 x 3 cells."""
        high, wide = feature.shape[2] // 2, feature.shape[3] // 3
        small = torch.zeros(2, 3, 2, 3, dtype=torch.float64)
        for i in range(2):
            for j in range(3):
                cell = feature[:, :, i * high : (i + 1) * high, j * wide : (j + 1) * wide]
                small[:, :, i, j] = cell.flatten(2).sum(dim=2) / (high * wide)
        return small

    assert attention(student, teacher).item() == pytest.approx(by_hand(shrunk(student), shrunk(teacher)), rel=1e-12)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_the_teachers_energy_is_enough(maps, power):
    student, teacher = maps[0].clone().requires_grad_(), maps[1].clone().requires_grad_()
    energy = attention_energy(teacher, power)
    assert energy.shape == (len(teacher), *teacher.shape[2:])
    assert energy[1, 0, 2].item() == pytest.approx(sum(abs(value) ** power for value in teacher[1, :, 0, 2].tolist()))
    found = attention_to_energy(student, energy, power)
    assert found.item() == pytest.approx(by_hand(student.detach(), teacher.detach(), power), rel=1e-12)
    found.backward()
    assert teacher.grad is None and student.grad.any()
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected \(B, C, H, W\)"):
        attention_energy(torch.zeros(2, 3))


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_passes_gradcheck(maps, power):
    assert torch.autograd.gradcheck(lambda s: attention(s, maps[1], power), (maps[0].clone().requires_grad_(),))
    larger = F.pad(maps[1], (1, 2, 3, 1), value=0.5)
    assert torch.autograd.gradcheck(lambda s: attention(s, larger, power), (maps[0].clone().requires_grad_(),))


def test_is_the_mean_over_the_batch(maps):
    single = [attention(s[None], t[None]) for s, t in zip(*maps, strict=True)]
    torch.testing.assert_close(attention(*maps), torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_never_gives_the_teacher_a_gradient(maps):
    student, teacher = (feature.clone().requires_grad_() for feature in maps)
    attention(student, teacher).backward()
    assert student.grad.any() and teacher.grad is None


def test_computes_low_precision_in_float32(maps):
    student, teacher = (feature.to(torch.bfloat16) for feature in maps)
    for is_enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_enabled):
            loss = attention(student, teacher)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(by_hand(student.double(), teacher.double()), rel=1e-5)


@pytest.mark.slow
def test_compiles_to_the_same_value(maps):
    compiled = torch.compile(attention, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*maps), attention(*maps), rtol=1e-12, atol=0)


def test_says_what_to_do_about_vectors_and_powers_below_one(maps):
    with pytest.raises(ValueError, match=r"shape \(3, 7\), expected \(B, C, H, W\)"):
        attention(torch.zeros(3, 7), maps[1])
    with pytest.raises(ValueError, match="power 0.5.*use a power of 1 or more"):
        attention(*maps, power=0.5)


@pytest.mark.parametrize("squared", [True, False])
def test_gradient_form_is_the_distance_of_each_images_own_loss_gradients(problem, squared):
    student, teacher, labels, images = problem
    pairs = zip(gradient_by_hand(student, images, labels), gradient_by_hand(teacher, images, labels), strict=True)
    squares = [sum((s - t) ** 2 for s, t in zip(own, wanted, strict=True)) for own, wanted in pairs]
    expected = sum(square if squared else math.sqrt(square) for square in squares) / 3
    loss = attention_gradient(student(images), teacher(images), labels, images, squared)
    assert loss.item() == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("squared", [True, False])
def test_gradient_form_reaches_the_students_weights_and_agrees_with_finite_differences(problem, squared):
    student, teacher, labels, images = problem
    names = [name for name, _ in student.named_parameters()]

    def loss_of(*parameters):
        logits = functional_call(student, dict(zip(names, parameters, strict=True)), (images,))
        return attention_gradient(logits, teacher(images), labels, images, squared)

    assert torch.autograd.gradcheck(loss_of, tuple(p.detach().requires_grad_() for p in student.parameters()))


@pytest.mark.parametrize("squared", [True, False])
def test_gradient_form_is_zero_with_a_zero_gradient_for_equal_networks(problem, squared):
    student, _, labels, images = problem
    loss = attention_gradient(student(images), student(images), labels, images, squared)
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or p.grad.eq(0).all() for p in student.parameters())


def test_gradient_form_never_gives_the_teacher_a_gradient(problem):
    student, teacher, labels, images = problem
    teacher.requires_grad_(True)
    attention_gradient(student(images), teacher(images), labels, images).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for name, p in student.named_parameters() if name != "5.bias")


def test_gradient_form_is_the_mean_over_the_batch(problem):
    student, teacher, labels, images = problem
    single = []
    for image, label in zip(images.detach(), labels, strict=True):
        alone = image[None].clone().requires_grad_()
        single.append(attention_gradient(student(alone), teacher(alone), label[None], alone))
    together = attention_gradient(student(images), teacher(images), labels, images)
    torch.testing.assert_close(together, torch.stack(single).mean(), rtol=1e-10, atol=0)


def test_gradient_form_leaves_both_graphs_for_others(problem):
    student, teacher, labels, images = problem
    logits = student(images), teacher(images)
    first = attention_gradient(*logits, labels, images)
    second = attention_gradient(*logits, labels, images)
    (first + second + logits[0].sum()).backward()
    assert first == second


def test_gradient_form_is_close_under_autocast(problem):
    student, teacher, labels, images = problem
    expected = attention_gradient(student(images), teacher(images), labels, images).item()
    student, teacher, low = student.float(), teacher.float(), images.detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = attention_gradient(student(low), teacher(low), labels, low)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected, rel=0.1)
    assert all(p.grad.isfinite().all() for p in student.parameters() if p.grad is not None)


def test_gradient_form_keeps_float32_where_only_the_loss_runs_under_autocast(problem):
    student, teacher, labels, images = problem
    images = images.detach().float().requires_grad_()
    logits = student.float()(images), teacher.float()(images)
    expected = attention_gradient(*logits, labels, images)
    with torch.autocast("cpu", torch.bfloat16):
        loss = attention_gradient(*logits, labels, images)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)


def test_gradient_form_says_what_it_needs_of_the_images(problem):
    student, teacher, labels, images = problem
    still = images.detach()
    with pytest.raises(ValueError, match=r"call images.requires_grad_\(\) before"):
        attention_gradient(student(still), teacher(still), labels, still)
    with torch.no_grad():
        unaware = teacher(images)
    with pytest.raises(ValueError, match="teacher's cross-entropy does not depend .* without torch.no_grad"):
        attention_gradient(student(images), unaware, labels, images)
    with pytest.raises(ValueError, match="student's cross-entropy does not depend"):
        attention_gradient(student(still), teacher(images), labels, images)
