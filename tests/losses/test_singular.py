"""Leading singular vectors: numpy's decomposition, its finite differences, signs, invariances and singular points."""

import numpy as np
import pytest
import torch

from understudy.losses.singular import aligned, canonical_signs, leading_vectors, matched_vectors

# More positions than channels, fewer, and as many: the three ways to the Gram matrix.
SHAPES = {"tall": (2, 4, 3, 2), "wide": (2, 7, 2, 2), "square": (2, 4, 2, 2)}


@pytest.fixture(params=SHAPES)
def feature(request, generator):
    return torch.randn(SHAPES[request.param], generator=generator, dtype=torch.float64)


def vectors_by_hand(image, k):
    """numpy's singular value decomposition of one image, each vector with a positive sum: (C, k), (k,)."""
    channels = image.shape[0]
    matrix = image.reshape(channels, -1).T
    _, values, rows = np.linalg.svd(matrix, full_matrices=False)
    vectors = np.stack([row if row.sum() > 0 else -row for row in rows[:k]], axis=1)
    return vectors, values[:k]


def score_by_hand(feature, vector_weight, value_weight):
    """A number that depends on every entry of the vectors and on the values."""
    total = 0.0
    for image, own, other in zip(feature, vector_weight, value_weight, strict=True):
        vectors, values = vectors_by_hand(image, own.shape[1])
        total += (own * vectors).sum() + (other * values).sum()
    return total


def gradient_by_hand(feature, vector_weight, value_weight, step=1e-5):
    """Central differences, one entry of the feature at a time."""
    arrays = [tensor.numpy() for tensor in (feature, vector_weight, value_weight)]
    gradient = np.zeros(feature.shape)
    for index in np.ndindex(*feature.shape):
        moved = [arrays[0].copy(), arrays[0].copy()]
        moved[0][index] += step
        moved[1][index] -= step
        up, down = (score_by_hand(array, *arrays[1:]) for array in moved)
        gradient[index] = (up - down) / (2 * step)
    return torch.from_numpy(gradient)


def gradient_of(feature, vector_weight, value_weight):
    feature = feature.clone().requires_grad_()
    vectors, values = leading_vectors(feature, vector_weight.shape[2])
    ((vectors * vector_weight).sum() + (values * value_weight).sum()).backward()
    return feature.grad


def weights(feature, k, generator):
    shape = (feature.shape[0], feature.shape[1], k)
    vector_weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    return vector_weight, torch.randn(shape[0], k, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("k", [1, 3])
def test_are_numpys_vectors_and_values(feature, k):
    vectors, values = leading_vectors(feature, k)
    for image, own_vectors, own_values in zip(feature.numpy(), vectors, values, strict=True):
        wanted_vectors, wanted_values = vectors_by_hand(image, k)
        torch.testing.assert_close(own_vectors, torch.from_numpy(wanted_vectors), rtol=0, atol=1e-10)
        torch.testing.assert_close(own_values, torch.from_numpy(wanted_values), rtol=1e-10, atol=0)


@pytest.mark.parametrize("k", [1, 3])
def test_gradient_is_that_of_finite_differences_of_numpys_vectors(feature, k, generator):
    """Cut to k vectors before differentiating, the usual formula is zero for k = 1 and wrong in direction beyond."""
    upstream = weights(feature, k, generator)
    torch.testing.assert_close(
        gradient_of(feature, *upstream), gradient_by_hand(feature, *upstream), rtol=1e-6, atol=1e-7
    )
    without_values = upstream[0], torch.zeros_like(upstream[1])
    assert gradient_of(feature, *without_values).norm() > 0.01


def test_gradient_is_that_of_the_full_decomposition_to_ten_digits(feature, generator):
    vector_weight, value_weight = weights(feature, 2, generator)
    twin = feature.clone().requires_grad_()
    _, values, rows = torch.linalg.svd(twin.flatten(2).mT, full_matrices=False)
    vectors = rows.mT[:, :, :2] * canonical_signs(rows.mT[:, :, :2].detach())
    ((vectors * vector_weight).sum() + (values[:, :2] * value_weight).sum()).backward()
    torch.testing.assert_close(gradient_of(feature, vector_weight, value_weight), twin.grad, rtol=1e-10, atol=1e-10)


def test_positions_of_zeros_change_neither_vectors_nor_gradient_across_the_two_gram_matrices(generator):
    wide = torch.randn(2, 5, 1, 3, generator=generator, dtype=torch.float64)
    tall = torch.cat([wide, torch.zeros(2, 5, 1, 4, dtype=torch.float64)], dim=3)
    upstream = weights(wide, 2, generator)
    for own, other in zip(leading_vectors(wide, 2), leading_vectors(tall, 2), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        gradient_of(wide, *upstream), gradient_of(tall, *upstream)[..., :3], rtol=1e-10, atol=1e-10
    )


def test_passes_gradcheck(feature):
    assert torch.autograd.gradcheck(lambda values: leading_vectors(values, 2), (feature.clone().requires_grad_(),))


def test_ignore_order_and_rotation_of_positions(feature, generator):
    positions = feature.shape[2] * feature.shape[3]
    rotation, _ = torch.linalg.qr(torch.randn(positions, positions, generator=generator, dtype=torch.float64))
    for mixing in (torch.eye(positions, dtype=torch.float64)[torch.randperm(positions, generator=generator)], rotation):
        mixed = (feature.flatten(2) @ mixing).view_as(feature)
        for own, other in zip(leading_vectors(mixed, 2), leading_vectors(feature, 2), strict=True):
            torch.testing.assert_close(own, other, rtol=0, atol=1e-10)


def test_follow_the_order_of_the_channels(feature, generator):
    order = torch.randperm(feature.shape[1], generator=generator)
    torch.testing.assert_close(
        leading_vectors(feature[:, order], 2)[0], leading_vectors(feature, 2)[0][:, order], rtol=0, atol=1e-10
    )


def test_a_positive_scale_changes_only_the_values(feature):
    vectors, values = leading_vectors(feature, 2)
    scaled_vectors, scaled_values = leading_vectors(1e-3 * feature, 2)
    torch.testing.assert_close(scaled_vectors, vectors, rtol=0, atol=1e-10)
    torch.testing.assert_close(scaled_values, 1e-3 * values, rtol=1e-10, atol=0)


def test_do_not_depend_on_the_signs_of_the_linear_algebra_library(feature, generator, monkeypatch):
    upstream = weights(feature, 2, generator)
    vectors, gradient = leading_vectors(feature, 2)[0], gradient_of(feature, *upstream)
    eigh = torch.linalg.eigh

    def flipped(matrix):
        values, basis = eigh(matrix)
        return values, -basis

    monkeypatch.setattr(torch.linalg, "eigh", flipped)
    torch.testing.assert_close(leading_vectors(feature, 2)[0], vectors, rtol=0, atol=0)
    torch.testing.assert_close(gradient_of(feature, *upstream), gradient, rtol=1e-12, atol=1e-14)


def test_signs_make_the_sum_positive_then_the_largest_entry_then_the_first():
    vectors = torch.tensor([[-0.9, 0.3], [2.0, -1.0], [0.6, -0.6], [-0.6, 0.6]], dtype=torch.float64)
    vectors = torch.cat([vectors, torch.tensor([[0.0], [-1.0], [0.0], [0.0]], dtype=torch.float64)], dim=1)
    assert canonical_signs(vectors[:, :, None]).flatten().tolist() == [-1, 1, 1, -1]
    two_to_one = torch.tensor([[0.25, -0.5, 0.25], [0.5, -0.25, -0.25]], dtype=torch.float64)
    assert canonical_signs(two_to_one[:, :, None]).flatten().tolist() == [-1, 1]


def test_a_non_negative_map_has_a_non_negative_leading_vector(feature):
    assert leading_vectors(feature.abs(), 1)[0].ge(0).all()


@pytest.mark.parametrize("shape", [(2, 5, 3, 3), (2, 9, 2, 3)])
def test_dead_channels_leave_the_gradient_exact(shape, generator):
    feature = torch.randn(shape, generator=generator, dtype=torch.float64)
    feature[:, 1] = 0.0
    feature[:, 3:5] = 0.0
    upstream = weights(feature, 2, generator)
    gradient = gradient_of(feature, *upstream)
    assert gradient[:, 1].any()  # a dead channel can be revived
    torch.testing.assert_close(gradient, gradient_by_hand(feature, *upstream), rtol=1e-6, atol=1e-7)


def test_a_map_of_zeros_has_zeros_and_no_gradient(feature, generator):
    zeros = torch.zeros_like(feature)
    vectors, values = leading_vectors(zeros, 3)
    assert not vectors.any() and not values.any()
    assert not gradient_of(zeros, *weights(feature, 3, generator)).any()


def test_a_singular_value_of_zero_has_no_vector(feature, generator):
    column = torch.randn(2, feature.shape[1], 1, 1, generator=generator, dtype=torch.float64)
    flat = column.expand_as(feature)
    vectors, values = leading_vectors(flat, 2)
    torch.testing.assert_close(vectors[:, :, 0].norm(dim=1), torch.ones(2, dtype=torch.float64))
    assert not vectors[:, :, 1].any() and not values[:, 1].any()
    assert gradient_of(flat, *weights(feature, 2, generator)).abs().max() < 1e3


@pytest.mark.parametrize("shape", [(4, 4), (4, 6), (6, 4)])
def test_equal_singular_values_have_a_finite_gradient(shape, generator):
    channels, positions = shape
    equal = torch.eye(positions, channels, dtype=torch.float64).T.reshape(1, channels, positions, 1)
    for nudge in (0.0, 1e-12, 1e-7, 1e-3):
        noise = torch.randn(equal.shape, generator=generator, dtype=torch.float64)
        upstream = weights(equal, 2, generator)
        gradient = gradient_of(equal + nudge * noise, *upstream)
        assert gradient.isfinite().all() and gradient.abs().max() < 1e7


def test_only_the_gaps_of_the_kept_vectors_count(generator):
    """Two equal small singular values in the tail: the gradient of the first vector is still exact."""
    left, _ = torch.linalg.qr(torch.randn(6, 4, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))
    values = torch.tensor([3.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    feature = (left @ values.diag() @ right).mT.reshape(1, 4, 3, 2)
    upstream = weights(feature, 1, generator)
    torch.testing.assert_close(
        gradient_of(feature, *upstream), gradient_by_hand(feature, *upstream), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_is_computed_above_it(feature, dtype, generator):
    low = feature.to(dtype)
    upstream = weights(feature, 2, generator)
    with torch.autocast("cpu", torch.bfloat16):
        vectors, values = leading_vectors(low, 2)
        gradient = gradient_of(low, *upstream)
    assert vectors.dtype == values.dtype == torch.float32 and gradient.dtype == dtype
    wanted_vectors, wanted_values = leading_vectors(low.double(), 2)
    torch.testing.assert_close(vectors.double(), wanted_vectors, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(values.double(), wanted_values, rtol=1e-6, atol=0)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    wanted = gradient_of(low.double(), *upstream)
    torch.testing.assert_close(gradient.double(), wanted, rtol=tolerance, atol=tolerance * wanted.abs().max().item())


@pytest.mark.parametrize("k", [0, 5])
def test_a_map_with_fewer_vectors_is_an_error_that_says_so(k):
    with pytest.raises(ValueError, match=rf"k={k} .*\(2, 6, 2, 2\).* 4 of them"):
        leading_vectors(torch.zeros(2, 6, 2, 2), k)


def test_aligned_takes_the_candidate_with_the_largest_cosine_and_turns_it(generator):
    candidates = torch.linalg.qr(torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)).Q
    wanted = torch.linalg.qr(torch.randn(3, 5, 2, generator=generator, dtype=torch.float64)).Q
    chosen = aligned(candidates, wanted)
    for image in range(3):
        for i in range(2):
            cosines = [float(sum(candidates[image, :, j] * wanted[image, :, i])) for j in range(4)]
            best = max(range(4), key=lambda j: abs(cosines[j]))
            expected = candidates[image, :, best] * (1 if cosines[best] > 0 else -1)
            assert chosen[image, :, i].equal(expected)


def test_aligned_tells_close_cosines_apart_under_autocast():
    candidates, wanted = torch.eye(2)[None], torch.tensor([[[0.7068], [0.7074]]])
    with torch.autocast("cpu", torch.bfloat16):
        assert aligned(candidates, wanted).flatten().tolist() == [0.0, 1.0]


def test_decompose_the_smaller_gram_matrix(feature, monkeypatch):
    eigh, sizes = torch.linalg.eigh, []
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: (sizes.append(matrix.shape), eigh(matrix))[1])
    leading_vectors(feature, 2)
    shorter = min(feature.shape[1], feature.shape[2] * feature.shape[3])
    assert sizes == [(2, shorter, shorter)]


def test_students_signs_and_their_order_follow_the_teacher(feature):
    student, teacher, values = matched_vectors(feature, feature.clone(), 2, num_candidates=3)
    torch.testing.assert_close(student, teacher, rtol=0, atol=0)
    torch.testing.assert_close(values, leading_vectors(feature, 2)[1], rtol=0, atol=0)
    minus, _, _ = matched_vectors(-feature, feature, 2, num_candidates=3)
    torch.testing.assert_close(minus, teacher, rtol=0, atol=1e-12)


def test_a_student_with_fewer_positions_offers_what_it_has(generator):
    student = torch.randn(2, 5, 1, 1, generator=generator, dtype=torch.float64)
    teacher = torch.randn(2, 5, 4, 4, generator=generator, dtype=torch.float64)
    vectors, _, _ = matched_vectors(student, teacher, 2, num_candidates=3)
    direction = student.flatten(1) / student.flatten(1).norm(dim=1, keepdim=True)
    torch.testing.assert_close(vectors.abs(), direction.abs()[:, :, None].expand(2, 5, 2), rtol=1e-12, atol=1e-12)


def test_unequal_widths_are_an_error_that_proposes_a_connector():
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\).*\(2, 6, 4, 4\).*1x1 connector"):
        matched_vectors(torch.zeros(2, 3, 4, 4), torch.zeros(2, 6, 4, 4), 1, num_candidates=2)
