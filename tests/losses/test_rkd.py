"""Relations: distances and angles one pair and triple at a time, what leaves them unchanged, and equal embeddings."""

import itertools
import math

import pytest
import torch

from understudy.losses.rkd import (
    cosines,
    half_and_inverse,
    relative_distance,
    rkd_angle,
    rkd_distance,
    squared_distance,
)

LOSSES = [rkd_distance, rkd_angle]


@pytest.fixture
def embeddings(generator):
    """Seven images; the student's has 5 numbers, the teacher's 9."""
    student = torch.randn(7, 5, generator=generator, dtype=torch.float64) + 2.0
    return student, torch.randn(7, 9, generator=generator, dtype=torch.float64)


def huber(difference):
    return difference**2 / 2 if abs(difference) <= 1 else abs(difference) - 0.5


def relative_distances_by_hand(embedding):
    rows = embedding.tolist()
    distances = [[math.dist(a, b) for b in rows] for a in rows]
    positive = [distance for row in distances for distance in row if distance > 0]
    mean = sum(positive) / len(positive)
    return [[distance / mean for distance in row] for row in distances]


def cosine(embedding):
    """All angles' cosines, in the order j, i, k."""
    return cosines(*half_and_inverse(embedding, embedding.dtype), slice(None))


def cosine_by_hand(first, vertex, second):
    one, other = math.dist(first, vertex), math.dist(second, vertex)
    if one == 0 or other == 0:
        return 0.0
    return sum((a - v) / one * (b - v) / other for a, v, b in zip(first, vertex, second, strict=True))


def distance_by_hand(student, teacher):
    own, wanted = relative_distances_by_hand(student), relative_distances_by_hand(teacher)
    pairs = itertools.product(range(len(own)), repeat=2)
    return sum(huber(own[i][j] - wanted[i][j]) for i, j in pairs) / len(own) ** 2


def angle_by_hand(student, teacher):
    own, wanted = student.tolist(), teacher.tolist()
    total = 0.0
    for i, j, k in itertools.product(range(len(own)), repeat=3):
        total += huber(cosine_by_hand(own[i], own[j], own[k]) - cosine_by_hand(wanted[i], wanted[j], wanted[k]))
    return total / len(own) ** 3


BY_HAND = [(rkd_distance, distance_by_hand), (rkd_angle, angle_by_hand)]


@pytest.mark.parametrize(("loss", "by_hand"), BY_HAND)
def test_is_the_huber_distance_of_all_relations(embeddings, loss, by_hand):
    assert loss(*embeddings).item() == pytest.approx(by_hand(*embeddings), rel=1e-9)


@pytest.mark.parametrize(("loss", "by_hand"), BY_HAND)
def test_large_differences_count_linearly(loss, by_hand):
    student = torch.tensor([[0.0], [0.1], [0.3], [9.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0], [9.0], [-0.1], [0.2]], dtype=torch.float64)
    relation = relative_distance if loss is rkd_distance else cosine
    assert (relation(student) - relation(teacher)).abs().max() > 1.5
    assert loss(student, teacher).item() == pytest.approx(by_hand(student, teacher), rel=1e-9)


@pytest.mark.parametrize(("loss", "by_hand"), BY_HAND)
def test_is_the_same_with_equal_embeddings_among_the_batch(embeddings, loss, by_hand):
    student, teacher = embeddings
    student[4], student[5], teacher[2] = student[1], student[1], teacher[0]
    assert loss(student, teacher).item() == pytest.approx(by_hand(student, teacher), rel=1e-9)


def test_distances_on_a_line_are_the_differences_over_their_mean():
    distances = relative_distance(torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64))
    expected = torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]], dtype=torch.float64) / 2
    torch.testing.assert_close(distances, expected, rtol=0, atol=1e-12)


def test_angles_on_a_line_are_straight_or_none():
    cosines = cosine(torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64))
    at_the_middle = torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(cosines[1], at_the_middle, rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_ignores_moving_turning_mirroring_and_scaling_of_either_side(embeddings, loss, generator):
    expected = loss(*embeddings)
    moved = []
    for embedding in embeddings:
        width = embedding.shape[1]
        turn = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q
        turn[0] *= -torch.linalg.det(turn).sign()  # a mirror image, whatever the turn was
        moved.append(2.5 * embedding @ turn + torch.arange(width))
    for student, teacher in ((moved[0], embeddings[1]), (embeddings[0], moved[1])):
        torch.testing.assert_close(loss(student, teacher), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_ignores_the_order_of_the_batch_but_not_which_image_is_which(embeddings, loss):
    student, teacher = embeddings
    order = torch.tensor([3, 0, 6, 2, 1, 5, 4])
    torch.testing.assert_close(loss(student[order], teacher[order]), loss(student, teacher), rtol=1e-10, atol=0)
    assert abs(loss(student[order], teacher) - loss(student, teacher)) > 1e-4


@pytest.mark.parametrize("loss", LOSSES)
def test_is_zero_for_a_student_that_moves_turns_and_scales_the_teacher(embeddings, loss):
    assert loss(2 * embeddings[1].flip(1) - 1, embeddings[1]).item() == pytest.approx(0.0, abs=1e-20)


@pytest.mark.parametrize("loss", LOSSES)
def test_passes_gradcheck_and_gives_the_teacher_no_gradient(embeddings, loss):
    student, teacher = (embedding.requires_grad_() for embedding in embeddings)
    loss(student, teacher).backward()
    assert teacher.grad is None and student.grad.abs().max() > 0
    assert torch.autograd.gradcheck(lambda values: loss(values, teacher), (student,))


def test_the_mean_distance_carries_gradient(embeddings):
    """Scaling changes nothing, so the gradient is at right angles to the embeddings; with a constant mean it is not."""
    student = embeddings[0].requires_grad_()
    rkd_distance(student, embeddings[1]).backward()
    assert (student.grad * student).sum().item() == pytest.approx(0.0, abs=1e-12)
    assert student.grad.abs().max() > 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", LOSSES)
def test_equal_embeddings_have_a_modest_gradient(generator, loss, dtype):
    student = torch.randn(32, 128, generator=generator).to(dtype) + 3.0
    student[5], student[9], student[20] = student[0], student[0], student[1]
    student.requires_grad_()
    loss(student, torch.randn(32, 16, generator=generator).to(dtype)).backward()
    assert student.grad.isfinite().all() and student.grad.abs().max() < 1.0


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_equal_embeddings_are_at_distance_zero_exactly(generator, offset):
    embedding = torch.randn(128, 512, generator=generator) + offset
    embedding[[7, 50]] = embedding[3].clone()
    embedding[[8, 9]] = 1e3  # far from all others
    distances, cosines = relative_distance(embedding), cosine(embedding)
    equal = torch.tensor([math.dist(a, b) == 0 for a in embedding.tolist() for b in embedding.tolist()]).view(128, 128)
    assert equal.sum() == 128 + 6 + 2
    assert torch.equal(distances == 0, equal)
    assert cosines[3, 7].eq(0).all() and cosines[50, :, 3].eq(0).all() and cosines[8, 9].eq(0).all()


def test_rounding_of_the_inner_products_does_not_part_equal_embeddings():
    """Processors may sum <x, x> and <x, y> in different orders, and differ in the last digits for y = x."""
    gram = torch.full((2, 2), 100.0)
    gram[0, 1] = gram[1, 0] = 100.0 * (1 - 4 * torch.finfo(torch.float32).eps)
    square, is_equal = squared_distance(gram)
    assert is_equal.all() and square.eq(1).all()
    gram[0, 1] = gram[1, 0] = 99.99
    square, is_equal = squared_distance(gram)
    assert torch.equal(is_equal, torch.eye(2, dtype=torch.bool))
    assert square[0, 1].item() == pytest.approx(0.02, rel=1e-2)


@pytest.mark.parametrize("embedding", [torch.zeros(4, 3), torch.full((4, 3), 0.1), torch.ones(1, 3)])
@pytest.mark.parametrize("loss", LOSSES)
def test_is_finite_where_all_embeddings_are_equal_or_there_is_but_one(loss, embedding, generator):
    student = embedding.clone().requires_grad_()
    value = loss(student, torch.randn(len(embedding), 6, generator=generator))
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()
    assert (value == 0) == (len(embedding) == 1)
    assert loss(torch.randn(len(embedding), 6, generator=generator), embedding).isfinite()


@pytest.mark.parametrize(("loss", "by_hand"), BY_HAND)
def test_computes_low_precision_in_float32(embeddings, loss, by_hand):
    low = [embedding.to(torch.bfloat16) for embedding in embeddings]
    expected = by_hand(*(embedding.double() for embedding in low))
    with torch.autocast("cpu", torch.bfloat16):
        inside = [loss(*low), loss(*(embedding.float() for embedding in low))]
    for value in (loss(*low), *inside):
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("loss", "by_hand"), BY_HAND)
def test_keeps_its_digits_far_from_the_origin(embeddings, loss, by_hand):
    far = [(embedding + 1000.0).float() for embedding in embeddings]
    expected = by_hand(*(embedding.double() for embedding in far))
    assert loss(*far).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("spread", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize(("loss", "by_hand"), BY_HAND)
def test_relations_within_a_tight_cluster_count_as_any_others(generator, loss, by_hand, spread):
    centres = torch.randn(3, 1, 6, generator=generator)
    student = (centres + spread * torch.randn(3, 3, 6, generator=generator)).flatten(0, 1).requires_grad_()
    teacher = torch.randn(9, 4, generator=generator)
    value = loss(student, teacher)
    assert value.dtype == torch.float32
    # A cosine loses as many digits as one of its two distances is shorter than the other.
    slack = 1e-6 if loss is rkd_distance else 1e-6 + 2e-8 / spread
    assert value.item() == pytest.approx(by_hand(student.detach().double(), teacher.double()), rel=slack)
    (gradient,) = torch.autograd.grad(value, student)
    exact = student.detach().double().requires_grad_()
    loss(exact, teacher.double()).backward()
    apart = (gradient.double() - exact.grad).abs().max() / exact.grad.abs().max()
    assert apart < 1e-6 + 2e-7 / spread


@pytest.mark.parametrize("loss", LOSSES)
def test_does_not_hide_a_student_that_is_not_a_number(embeddings, loss):
    embeddings[0][0, 0] = math.nan
    assert loss(*embeddings).isnan()


@pytest.mark.parametrize("loss", LOSSES)
def test_names_the_shapes_that_it_cannot_compare(embeddings, loss):
    with pytest.raises(ValueError, match=r"\(7, 5, 1, 1\).*\(7, 9\).*pool maps"):
        loss(embeddings[0][:, :, None, None], embeddings[1])
    with pytest.raises(ValueError, match="6 embeddings, the teacher 7.*same images"):
        loss(embeddings[0][1:], embeddings[1])


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_compiles_whole(embeddings, loss):
    torch.testing.assert_close(torch.compile(loss, fullgraph=True, backend="eager")(*embeddings), loss(*embeddings))


@pytest.mark.parametrize("scale", [1e-18, 1e-13, 1e13, 1e18])
@pytest.mark.parametrize("distance", [rkd_distance, rkd_angle])
def test_small_and_large_embeddings_have_the_same_relations(distance, scale):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 5, 4, generator=generator)
    own, scaled = student.clone().requires_grad_(), (scale * student).requires_grad_()
    value, same = distance(own, teacher), distance(scaled, teacher)
    (value + same).backward()
    torch.testing.assert_close(same, value, rtol=1e-5, atol=0)
    torch.testing.assert_close(scaled.grad * scale, own.grad, rtol=1e-4, atol=1e-7)
