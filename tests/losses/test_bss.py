"""Boundary supporting samples: the attack against finite differences and a closed form, its bases, targets, weights."""

import math

import pytest
import torch
from torch import nn

from understudy.losses.bss import (
    boundary_batch,
    boundary_samples,
    boundary_weight,
    choose_bases,
    clean_weight,
    draw_targets,
)


class Counting(nn.Module):
    """A network that writes down how many images each of its passes had."""

    def __init__(self, network):
        super().__init__()
        self.network, self.sizes = network, []

    def forward(self, images):
        self.sizes.append(len(images))
        return self.network(images)


def linear(weight_KD, bias_K=None):
    network = nn.Linear(weight_KD.shape[1], weight_KD.shape[0], dtype=weight_KD.dtype)
    with torch.no_grad():
        network.weight.copy_(weight_KD)
        network.bias.copy_(torch.zeros(len(weight_KD)) if bias_K is None else bias_K)
    return Counting(nn.Sequential(nn.Flatten(), network))


@pytest.fixture
def teacher(generator):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 4)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return Counting(network)


@pytest.fixture
def images(generator):
    return torch.randn(7, 3, 2, 2, generator=generator, dtype=torch.float64)


def slopes(function, x, h=1e-5):
    """The gradient by central differences, one pixel at a time."""
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        shift = torch.zeros_like(x)
        shift.view(-1)[i] = h
        gradient.view(-1)[i] = (function(x + shift) - function(x - shift)) / (2 * h)
    return gradient


@torch.no_grad()
def by_hand(network, image, target, steps, step_size, bound):
    """One image at a time, without automatic differentiation."""
    x, base = image.clone(), None
    for _ in range(steps):
        z = network(x[None])[0].tolist()
        best = z.index(max(z))
        base = best if base is None else base
        if best != base:
            break
        g = slopes(lambda y, b=base: (network(y[None])[0, target] - network(y[None])[0, b]).item(), x)
        length = math.sqrt(sum(v * v for v in g.flatten().tolist()))
        x = (x + step_size * (z[base] - z[target] + 1e-4) * g / length).clamp(-bound, bound)
    return x


@pytest.mark.parametrize(("steps", "step_size", "bound"), [(10, 0.3, 2.5), (4, 0.7, 0.9), (1, 0.3, 2.5)])
def test_attack_follows_the_formula_on_a_curved_teacher(teacher, images, steps, step_size, bound):
    base = teacher(images).argmax(dim=1)
    target = (base + torch.tensor([1, 2, 3, 1, 2, 3, 1])) % 4
    moved = boundary_samples(teacher, images, target, steps, step_size, bound)
    for image, aim, found in zip(images, target.tolist(), moved, strict=True):
        expected = by_hand(teacher.network, image, aim, steps, step_size, bound)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)
    assert not moved.requires_grad and moved.dtype == torch.float64 and moved.shape == images.shape


@pytest.mark.parametrize("steps", range(11))
def test_gap_of_a_linear_teacher_shrinks_as_in_the_closed_form(generator, steps):
    weight = torch.randn(3, 12, generator=generator, dtype=torch.float64) / 4
    weight[2] = 0.0  # with its bias, a class that is never seen
    network = linear(weight, torch.tensor([0.0, 0.0, -100.0]))
    images = torch.randn(5, 3, 2, 2, generator=generator, dtype=torch.float64)
    base = network(images).argmax(dim=1)
    assert set(base.tolist()) == {0, 1}
    moved = boundary_samples(network, images, 1 - base, steps=steps, bound=1e9)

    def gap(x):
        z = network(x)
        return (z.gather(1, base[:, None]) - z.gather(1, 1 - base[:, None])).flatten()

    shrink = 1 - 0.3 * (weight[0] - weight[1]).norm()
    expected = (gap(images) + 1e-4) * shrink**steps - 1e-4
    assert shrink > 0 and (expected > 0).all()  # nothing has left yet
    torch.testing.assert_close(gap(moved), expected, rtol=0, atol=1e-10)


def test_an_image_freezes_when_it_leaves_and_only_the_others_get_another_pass(generator):
    # Slope 5: one step of 0.3 (gap + 1e-4) * 5 oversteps the boundary; the second image heads for a class far below.
    weight = torch.tensor([[5.0, 0.0], [0.0, 0.0], [0.0, 1.0]]).double()
    network = linear(weight, torch.tensor([0.0, 0.0, -9.0]))
    images = torch.tensor([[0.4, 0.0], [2.0, 0.0]]).double().view(2, 1, 1, 2)
    target = torch.tensor([1, 0])
    first = boundary_samples(network, images, torch.tensor([1, 1]), steps=1)
    assert network(first).argmax(dim=1).tolist() == [1, 1]
    network.sizes.clear()
    later = boundary_samples(network, images, torch.tensor([1, 1]), steps=10)
    assert torch.equal(first, later) and network.sizes == [2, 2]
    # The second image's target is its own class: it is dropped in the first pass, the other in the second.
    network.sizes.clear()
    moved = boundary_samples(network, images, target, steps=10)
    assert torch.equal(moved[0], first[0]) and torch.equal(moved[1], images[1]) and network.sizes == [2, 1]


def test_an_image_freezes_in_whichever_class_it_enters():
    # From class 0 towards class 2 the image passes through class 1.
    network = linear(torch.tensor([[-1.0], [0.0], [1.0]]).double(), torch.tensor([0.0, 0.5, 0.0]))
    image = torch.full((1, 1, 1, 1), -1.0).double()
    moved = boundary_samples(network, image, torch.tensor([2]), steps=10)
    assert network(moved).argmax(dim=1).item() == 1
    torch.testing.assert_close(moved, image + 0.3 * (2.0 + 1e-4), rtol=0, atol=1e-12)


def test_never_moves_an_image_whose_target_is_its_own_class_even_beyond_the_bound(teacher, images):
    far = 4.0 * images
    assert far.abs().max() > 2.5
    assert torch.equal(boundary_samples(teacher, far, teacher(far).argmax(dim=1)), far)


def test_keeps_every_pixel_it_moves_inside_the_bound(teacher, images):
    target = (teacher(images).argmax(dim=1) + 1) % 4
    moved = boundary_samples(teacher, 3.0 * images, target, bound=0.5)
    assert moved.abs().max() == 0.5


def test_a_gradient_of_exactly_zero_moves_nothing():
    network = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(4, 3))
    images = -torch.ones(2, 1, 2, 2)  # every unit is dead
    target = (network(images).argmax(dim=1) + 1) % 3
    moved = boundary_samples(network, images, target)
    assert torch.equal(moved, images)


def test_one_image_alone_moves_as_in_a_batch_and_no_image_needs_no_teacher(teacher, images):
    target = (teacher(images).argmax(dim=1) + 2) % 4
    together = boundary_samples(teacher, images, target)
    for i in range(len(images)):
        alone = boundary_samples(teacher, images[i : i + 1], target[i : i + 1])
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-12)
    teacher.sizes.clear()
    assert boundary_samples(teacher, images[:0], target[:0]).shape == (0, 3, 2, 2)
    assert teacher.sizes == []


def test_leaves_no_gradient_behind_and_works_where_gradients_are_off(teacher, images):
    target = (teacher(images).argmax(dim=1) + 1) % 4
    given = images.clone().requires_grad_()
    expected = boundary_samples(teacher, given, target)
    with torch.no_grad():
        moved = boundary_samples(teacher, images, target)
        assert not torch.is_grad_enabled()
    assert torch.equal(moved, expected) and not moved.equal(images)
    assert not expected.requires_grad and given.grad is None and torch.equal(given, images)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in teacher.parameters())


def test_frozen_parameters_change_nothing(teacher, images):
    target = (teacher(images).argmax(dim=1) + 1) % 4
    expected = boundary_samples(teacher, images, target)
    assert torch.equal(boundary_samples(teacher.requires_grad_(False), images, target), expected)


def test_under_autocast_the_attack_stays_in_float32(generator):
    weight = torch.randn(3, 12, generator=generator) / 4
    images = torch.randn(6, 3, 2, 2, generator=generator)
    network = linear(weight)
    target = (network(images).argmax(dim=1) + 1) % 3
    expected = boundary_samples(network.double(), images.double(), target)
    network.float()
    with torch.autocast("cpu", torch.bfloat16):
        moved = boundary_samples(network, images, target)
    assert moved.dtype == torch.float32
    # The teacher itself runs in bfloat16: its logits and slopes have three digits.
    assert (moved - expected).norm() < 0.02 * (images - expected).norm()


def test_low_precision_images_keep_the_steps_that_are_smaller_than_their_digits():
    # 1024 pixels at 1.0, where bfloat16 counts in 1/128 upwards and 1/256 downwards: a step moves each by 0.002.
    network = linear(torch.stack([torch.full((1024,), 1.0 / 32), torch.zeros(1024)]), torch.tensor([-31.0, 0.0]))
    images = torch.ones(1, 1, 32, 32)
    expected = boundary_samples(network, images, torch.tensor([1]))
    moved = boundary_samples(network.to(torch.bfloat16), images.to(torch.bfloat16), torch.tensor([1]))
    assert moved.dtype == torch.bfloat16 and (images - expected).max() > 0.02
    torch.testing.assert_close(moved.float(), expected, rtol=0, atol=0.01)


def scores_by_hand(student, teacher, labels):
    """(correct for both, sum of squared differences over the wrong classes), one image at a time."""
    rows = []
    for s, t, y in zip(student.tolist(), teacher.tolist(), labels.tolist(), strict=True):
        p = [math.exp(v) / sum(math.exp(w) for w in s) for v in s]
        q = [math.exp(v) / sum(math.exp(w) for w in t) for v in t]
        correct = s.index(max(s)) == y and t.index(max(t)) == y
        rows.append((correct, sum((q[k] - p[k]) ** 2 for k in range(len(s)) if k != y)))
    return rows


@pytest.mark.parametrize("most", [3, 7, 64])
def test_bases_are_those_both_classify_correctly_the_most_different_first(generator, most):
    student, teacher = 2.0 * torch.randn(2, 40, 3, generator=generator, dtype=torch.float64)
    labels = teacher.argmax(dim=1)
    labels[::5] = (labels[::5] + 1) % 3
    rows = scores_by_hand(student, teacher, labels)
    expected = sorted((i for i in range(40) if rows[i][0]), key=lambda i: -rows[i][1])
    assert 7 < len(expected) < 40
    assert choose_bases(student, teacher, labels, most).tolist() == expected[:most]


def test_bases_that_differ_equally_come_in_the_order_of_the_batch():
    student = torch.tensor([[3.0, 0.0], [1.0, 0.0]]).repeat(50, 1)
    chosen = choose_bases(student, torch.tensor([[2.0, 0.0]]).expand(100, 2), torch.zeros(100, dtype=torch.long), 60)
    order = sorted(range(100), key=lambda i: i % 2 == 0)  # odd images differ more: p = 0.73 against 0.88, not 0.95
    assert chosen.tolist() == order[:60]


def test_one_base_or_none_are_still_a_batch():
    logits, labels = torch.eye(3), torch.tensor([0, 2, 1])
    assert choose_bases(logits, logits, labels).tolist() == [0]
    assert choose_bases(logits, logits, labels).shape == (1,)
    assert choose_bases(logits, logits, torch.tensor([1, 2, 0])).shape == (0,)


def test_targets_are_drawn_in_proportion_to_the_teacher_and_are_never_the_base():
    torch.manual_seed(0)
    logits = torch.tensor([2.0, -1.0, 0.5, 0.0, -3.0]).double()
    p = [math.exp(v) / sum(math.exp(w) for w in logits.tolist()) for v in logits.tolist()]
    for base in (0, 2):
        drawn = draw_targets(logits.expand(40_000, 5), torch.full((40_000,), base))
        share = drawn.bincount(minlength=5) / 40_000
        expected = [0.0 if k == base else p[k] / (1 - p[base]) for k in range(5)]
        assert share[base] == 0
        assert share.tolist() == pytest.approx(expected, abs=0.01)


def test_targets_keep_their_proportions_where_the_teacher_is_certain():
    torch.manual_seed(0)
    logits = torch.tensor([[1000.0, 1.0, 0.0, -1000.0]]).expand(20_000, 4)
    assert logits.softmax(dim=1)[0, 0] == 1
    drawn = draw_targets(logits, torch.zeros(20_000, dtype=torch.long))
    share = drawn.bincount(minlength=4) / 20_000
    assert share.tolist() == pytest.approx([0.0, 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1)), 0.0], abs=0.015)


def test_without_sampling_the_target_is_the_likeliest_other_class():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [0.0, -5.0, -9.0]])
    assert draw_targets(logits, torch.tensor([0, 2, 0]), sample=False).tolist() == [2, 0, 1]


@pytest.mark.parametrize("sample", [True, False])
def test_targets_of_one_image_or_none_are_still_a_batch(sample):
    assert draw_targets(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), sample).tolist() == [1]
    assert draw_targets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), sample).shape == (0,)


def test_a_teacher_with_one_class_has_no_target():
    with pytest.raises(ValueError, match="at least two classes"):
        draw_targets(torch.zeros(2, 1), torch.zeros(2, dtype=torch.long))


def test_a_batch_is_its_bases_moved_to_their_targets(teacher, images):
    with torch.no_grad():
        logits = teacher(images)
    labels = logits.argmax(dim=1)
    labels[2] = (labels[2] + 1) % 4
    student = logits.clone()
    student[4] = -student[4]  # wrong
    student[5] *= 0.5
    moved = boundary_batch(teacher, images, labels, student, logits, sample=False, steps=6)
    order = [5, 0, 1, 3, 6]
    second = [logits[i].argsort()[-2].item() for i in order]
    for i, aim, found in zip(order, second, moved, strict=True):
        torch.testing.assert_close(found, by_hand(teacher.network, images[i], aim, 6, 0.3, 2.5), rtol=0, atol=1e-7)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert boundary_batch(teacher, images, labels, student, logits, sample=False, most=1).shape == (1, 3, 2, 2)


def test_a_batch_without_a_base_is_empty_and_does_not_run_the_teacher(teacher, images):
    with torch.no_grad():
        logits = teacher(images)
    teacher.sizes.clear()
    moved = boundary_batch(teacher, images, logits.argmin(dim=1), logits, logits)
    assert moved.shape == (0, 3, 2, 2) and teacher.sizes == []


@pytest.mark.parametrize("kind", [float, torch.tensor])
def test_weights_fall_from_four_to_one_and_from_two_to_zero_at_three_quarters(kind):
    expected = {0.0: (4.0, 2.0), 0.375: (2.875, 1.0), 0.75: (1.75, 0.0), 0.9: (None, 0.0), 1.0: (1.0, 0.0)}
    for progress, (clean, boundary) in expected.items():
        a, b = clean_weight(kind(progress)), boundary_weight(kind(progress))
        assert type(a) is type(b) is type(kind(progress))
        assert b == boundary and (clean is None or a == clean)


def test_weights_compile():
    compiled = torch.compile(lambda p: clean_weight(p) + boundary_weight(p), fullgraph=True, backend="eager")
    assert compiled(torch.tensor(0.375)) == 3.875
