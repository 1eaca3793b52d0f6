"""Jacobian matching: a closed form, finite differences, the noise it stands for, invariances, dead gradients."""

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call

from understudy.losses.jacobian import attention_peak, jacobian


@pytest.fixture
def networks():
    """A student and a teacher that make maps, smooth everywhere, in float64; the teacher is frozen."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student, teacher = (
            nn.Sequential(nn.Conv2d(2, width, 3), nn.Softplus(), nn.Conv2d(width, 3, 2)).double() for width in (3, 5)
        )
    return student, teacher.requires_grad_(False)


@pytest.fixture
def images(generator):
    return torch.randn(3, 2, 5, 5, generator=generator, dtype=torch.float64).requires_grad_()


def distance_of_units(student, teacher):
    """Of two lists of numbers, one number at a time."""
    own, wanted = (math.sqrt(sum(value**2 for value in values)) for values in (student, teacher))
    units = [(s / own if own else 0.0) - (t / wanted if wanted else 0.0) for s, t in zip(student, teacher, strict=True)]
    return sum(value**2 for value in units)


def peak_by_hand(feature):
    """The largest energy of one image, one position at a time."""
    channels = feature.tolist()
    rows, columns = range(len(channels[0])), range(len(channels[0][0]))
    return max(sum(channel[i][j] ** 2 for channel in channels) for i in rows for j in columns)


def gradient_by_hand(network, image):
    """Central differences of the peak of one image's map, one pixel at a time."""
    values = []
    for pixel in range(image.numel()):
        step = torch.zeros(image.numel(), dtype=torch.float64)
        step[pixel] = 1e-5
        with torch.no_grad():
            up, down = (peak_by_hand(network((image + s * step.view_as(image))[None])[0]) for s in (1, -1))
        values.append((up - down) / 2e-5)
    return values


def linear(weights, images):
    return (images.flatten(1) * weights).sum(dim=1)


def test_peak_is_the_largest_energy_over_positions(generator):
    feature = torch.randn(3, 4, 2, 5, generator=generator, dtype=torch.float64)
    expected = [peak_by_hand(image) for image in feature]
    assert attention_peak(feature).tolist() == pytest.approx(expected, rel=1e-12)


def test_peak_passes_its_gradient_to_one_position_even_where_several_tie():
    feature = torch.full((2, 3, 2, 2), 2.0, dtype=torch.float64, requires_grad=True)
    attention_peak(feature).sum().backward()
    assert feature.grad.abs().sum(dim=1).flatten(1).count_nonzero(dim=1).tolist() == [1, 1]
    assert feature.grad.unique().tolist() == [0.0, 4.0]


def test_peak_computes_low_precision_in_float32(generator):
    feature = torch.randn(2, 300, 3, 3, generator=generator).to(torch.bfloat16)
    peak = attention_peak(feature)
    assert peak.dtype == torch.float32
    assert peak.tolist() == pytest.approx([peak_by_hand(image) for image in feature.double()], rel=1e-5)


def test_is_the_distance_of_the_unit_gradients_of_the_peaks(networks, images):
    pairs = [[gradient_by_hand(network, image) for network in networks] for image in images.detach()]
    expected = sum(distance_of_units(*pair) for pair in pairs) / 3
    loss = jacobian(*(attention_peak(network(images)) for network in networks), images)
    assert loss.item() == pytest.approx(expected, rel=1e-7)


def test_agrees_with_the_closed_form_of_a_two_layer_relu_network(generator):
    images = torch.randn(3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    weights = [
        (torch.randn(width, 4, generator=generator, dtype=torch.float64), torch.randn(width, generator=generator))
        for width in (5, 7)
    ]
    total = 0.0
    for image in images.tolist():
        gradients = []
        for first, second in weights:  # second^T diag(1[first x > 0]) first
            gradient = [0.0] * 4
            for row, out in zip(first.tolist(), second.tolist(), strict=True):
                if sum(w * x for w, x in zip(row, image, strict=True)) > 0:
                    gradient = [g + out * w for g, w in zip(gradient, row, strict=True)]
            gradients.append(gradient)
        total += distance_of_units(*gradients)
    scalars = [(images @ first.T).relu() @ second.double() for first, second in weights]
    assert jacobian(*scalars, images).item() == pytest.approx(total / 3, abs=1e-10)


def test_is_what_noise_on_the_images_adds_to_the_squared_difference(generator):
    """For a linear difference and noise xi: E (T(x + xi) - S(x + xi))^2 = (T - S)^2 + sigma^2 |J_T - J_S|^2."""
    images = torch.randn(2, 6, generator=generator, dtype=torch.float64).requires_grad_()
    student, teacher = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    student, teacher = student / student.norm(), teacher / teacher.norm()
    basis, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    sigma = 0.3
    added = []
    for image in images.detach():
        # Six orthonormal directions, forth and back, have the mean 0 and the covariance sigma^2 I exactly.
        noises = [sign * sigma * math.sqrt(6) * direction for direction in basis for sign in (1, -1)]
        noisy = [((teacher - student) @ (image + noise)).item() ** 2 for noise in noises]
        added.append(sum(noisy) / 12 - ((teacher - student) @ image).item() ** 2)
    loss = jacobian(linear(student, images), linear(teacher, images), images)
    assert sigma**2 * loss.item() == pytest.approx(sum(added) / 2, abs=1e-10)


def test_ignores_a_positive_scale_of_either_scalar(networks, images):
    student, teacher = (attention_peak(network(images)) for network in networks)
    scale = torch.tensor([0.01, 1.0, 70.0])
    moved = jacobian(scale * student, 5.0 * teacher, images)
    torch.testing.assert_close(moved, jacobian(student, teacher, images), rtol=1e-12, atol=0)


def test_lies_between_zero_for_equal_and_four_for_opposite_gradients(networks, images):
    student, teacher = (attention_peak(network(images)) for network in networks)
    assert jacobian(student, student, images) == 0
    assert jacobian(student, -student, images).item() == pytest.approx(4.0, rel=1e-12)
    assert 0 < jacobian(student, teacher, images) < 4


def test_gradient_reaches_the_students_weights_and_agrees_with_finite_differences(networks, images):
    student, teacher = networks
    names = [name for name, _ in student.named_parameters()]

    def loss_of(*parameters):
        feature = functional_call(student, dict(zip(names, parameters, strict=True)), (images,))
        return jacobian(attention_peak(feature), attention_peak(teacher(images)), images)

    assert torch.autograd.gradcheck(loss_of, tuple(p.detach().requires_grad_() for p in student.parameters()))


def test_several_layers_share_one_forward_pass(networks, images):
    student, teacher = networks

    def peaks(network):
        first = network[1](network[0](images))
        second = network[2](first)
        return [attention_peak(feature) for feature in (first, second, second.relu())]

    together = [jacobian(own, wanted, images) for own, wanted in zip(peaks(student), peaks(teacher), strict=True)]
    alone = [jacobian(peaks(student)[i], peaks(teacher)[i], images) for i in range(3)]
    assert [loss.item() for loss in together] == [loss.item() for loss in alone]
    torch.stack(together).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in student.parameters())


@pytest.mark.parametrize("dead", ["student", "teacher", "both"])
def test_a_gradient_of_zeros_stays_zero_and_trains_nothing(generator, dead):
    images = torch.randn(2, 4, generator=generator, dtype=torch.float64).requires_grad_()
    weights = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    is_alive = torch.tensor([0.0, 1.0], dtype=torch.float64)  # the first image's gradient is zero
    student = weights[0].clone().requires_grad_()
    own, wanted = linear(student, images), linear(weights[1], images)
    own = own * is_alive if dead != "teacher" else own
    wanted = wanted * is_alive if dead != "student" else wanted
    loss = jacobian(own, wanted, images)
    loss.backward()
    first = 0.0 if dead == "both" else 1.0
    second = distance_of_units(*weights.tolist())
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-12)
    assert student.grad.isfinite().all()
    alone = weights[0].clone().requires_grad_()
    image = images.detach()[1:].requires_grad_()
    (jacobian(linear(alone, image), linear(weights[1], image), image) / 2).backward()
    # With a dead teacher the first image still pulls on nothing: a unit vector's length is fixed.
    torch.testing.assert_close(student.grad, alone.grad, rtol=0, atol=1e-12)


def test_a_student_that_ignores_the_images_has_a_zero_gradient(generator):
    images = torch.randn(2, 4, generator=generator, dtype=torch.float64).requires_grad_()
    student = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    loss = jacobian(linear(student, images), linear(torch.arange(4.0), images), images)
    loss.backward()
    assert loss.item() == pytest.approx(1.0, rel=1e-12) and student.grad.tolist() == [0.0] * 4


def test_never_gives_the_teacher_a_gradient(networks, images):
    student, teacher = networks
    teacher.requires_grad_(True)
    jacobian(attention_peak(student(images)), attention_peak(teacher(images)), images).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert student[0].weight.grad.any()


def test_is_the_mean_over_the_batch(networks, images):
    single = []
    for image in images.detach():
        alone = image[None].clone().requires_grad_()
        single.append(jacobian(*(attention_peak(network(alone)) for network in networks), alone))
    together = jacobian(*(attention_peak(network(images)) for network in networks), images)
    torch.testing.assert_close(together, torch.stack(single).mean(), rtol=1e-10, atol=0)


def test_is_finite_and_close_under_autocast(networks, images):
    expected = jacobian(*(attention_peak(network(images)) for network in networks), images).item()
    student, teacher = (network.float() for network in networks)
    low = images.detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = jacobian(attention_peak(student(low)), attention_peak(teacher(low)), low)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected, rel=0.1)
    assert all(p.grad is None or p.grad.isfinite().all() for p in student.parameters())
    assert student[0].weight.grad.any()


def test_autocast_does_not_lower_the_gradients_of_networks_that_ran_in_float32(generator):
    images = torch.randn(3, 20, generator=generator).requires_grad_()
    first, second = torch.randn(2, 20, 20, generator=generator)
    scalars = [(images @ first).tanh().square().sum(dim=1), (images @ second).tanh().square().sum(dim=1)]
    expected = jacobian(*scalars, images)
    with torch.autocast("cpu", torch.bfloat16):
        loss = jacobian(*scalars, images)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)


def test_says_what_it_needs(networks, images):
    student, teacher = networks
    still = images.detach()
    with pytest.raises(ValueError, match=r"call images.requires_grad_\(\) before"):
        jacobian(attention_peak(student(still)), attention_peak(teacher(still)), still)
    with torch.no_grad():
        unaware = attention_peak(teacher(images))
    with pytest.raises(ValueError, match="teacher's scalar does not depend .* without torch.no_grad"):
        jacobian(attention_peak(student(images)), unaware, images)
    with pytest.raises(ValueError, match="student's scalar does not depend"):
        jacobian(attention_peak(student(still)), attention_peak(teacher(images)), images)
    with pytest.raises(
        ValueError, match=r"student's scalar has shape \(3, 3, 2\), expected one number for each of the 3"
    ):
        jacobian(student(images)[:, :, 0], attention_peak(teacher(images)), images)
    with pytest.raises(ValueError, match=r"shape \(3, 7\), expected \(B, C, H, W\)"):
        attention_peak(torch.zeros(3, 7))
