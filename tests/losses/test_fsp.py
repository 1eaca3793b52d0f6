"""Flow of the solution procedure: its definition by hand, its algebra, pooling, gradient and messages."""

import pytest
import torch

from understudy.losses.fsp import flow_matrix, fsp


@pytest.fixture
def maps(generator):
    """Front and back maps of a student, then of a teacher: equal widths, each network's own sizes."""
    shapes = (3, 2, 4, 6), (3, 5, 2, 3), (3, 2, 3, 3), (3, 5, 3, 3)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def pooled_by_hand(feature, high, wide):
    """The largest of each cell of a (C, H, W) map that divides evenly."""
    step, stride = feature.shape[1] // high, feature.shape[2] // wide
    return [
        [
            [
                max(feature[c, i * step + k, j * stride + m].item() for k in range(step) for m in range(stride))
                for j in range(wide)
            ]
            for i in range(high)
        ]
        for c in range(len(feature))
    ]


def matrix_by_hand(front, back):
    """One image, one pair of channels, one position at a time."""
    high, wide = min(front.shape[2], back.shape[2]), min(front.shape[3], back.shape[3])
    matrices = []
    for one, two in zip(front, back, strict=True):
        one, two = pooled_by_hand(one, high, wide), pooled_by_hand(two, high, wide)
        matrices.append(
            [
                [sum(f[i][j] * g[i][j] for i in range(high) for j in range(wide)) / (high * wide) for g in two]
                for f in one
            ]
        )
    return matrices


def by_hand(student_front, student_back, teacher_front, teacher_back):
    students, teachers = matrix_by_hand(student_front, student_back), matrix_by_hand(teacher_front, teacher_back)
    total = 0.0
    for student, teacher in zip(students, teachers, strict=True):
        for own, wanted in zip(student, teacher, strict=True):
            total += sum((s - t) ** 2 for s, t in zip(own, wanted, strict=True))
    return total / len(students)


@pytest.mark.parametrize("sizes", [((3, 4), (3, 4)), ((4, 6), (2, 3)), ((2, 3), (4, 6)), ((4, 3), (2, 6))])
def test_flow_matrix_is_the_mean_product_over_positions_of_the_pooled_maps(generator, sizes):
    front, back = (
        torch.randn(2, width, *size, generator=generator, dtype=torch.float64)
        for width, size in zip((3, 4), sizes, strict=True)
    )
    expected = torch.tensor(matrix_by_hand(front, back), dtype=torch.float64)
    torch.testing.assert_close(flow_matrix(front, back), expected, rtol=0, atol=1e-12)


def test_loss_is_the_squared_frobenius_distance(maps):
    assert fsp(*maps).item() == pytest.approx(by_hand(*maps), rel=1e-12)


def test_ignores_a_common_permutation_of_positions(maps, generator):
    front, back = maps[2:]
    order = torch.randperm(9, generator=generator)
    moved = [feature.flatten(2)[:, :, order].view_as(feature) for feature in (front, back)]
    torch.testing.assert_close(flow_matrix(*moved), flow_matrix(front, back), rtol=0, atol=1e-12)
    alone = flow_matrix(moved[0], back)
    assert not torch.allclose(alone, flow_matrix(front, back), atol=1e-3)


def test_flow_is_bilinear_turns_with_its_maps_and_is_positive_for_one_map(maps):
    front, back = maps[2:]
    torch.testing.assert_close(flow_matrix(3 * front, -2 * back), -6 * flow_matrix(front, back), rtol=0, atol=1e-12)
    torch.testing.assert_close(flow_matrix(back, front), flow_matrix(front, back).transpose(1, 2), rtol=0, atol=1e-12)
    assert torch.linalg.eigvalsh(flow_matrix(back, back)).min() > -1e-12


def test_is_zero_for_equal_networks_also_where_their_maps_are_zero(maps):
    assert fsp(*maps[:2], *maps[:2]) == 0
    zeros = [torch.zeros_like(feature).requires_grad_() for feature in maps[:2]]
    loss = fsp(*zeros, *maps[2:])
    loss.backward()
    assert loss.isfinite() and all(feature.grad.eq(0).all() for feature in zeros)


def test_passes_gradcheck(maps):
    student = tuple(feature.clone().requires_grad_() for feature in maps[:2])
    assert torch.autograd.gradcheck(lambda front, back: fsp(front, back, *maps[2:]), student)


def test_is_the_mean_over_the_batch(maps):
    single = [fsp(*(feature[None] for feature in image)) for image in zip(*maps, strict=True)]
    torch.testing.assert_close(fsp(*maps), torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_never_gives_the_teacher_a_gradient(maps):
    features = [feature.clone().requires_grad_() for feature in maps]
    fsp(*features).backward()
    assert all(feature.grad.any() for feature in features[:2])
    assert all(feature.grad is None for feature in features[2:])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_computes_low_precision_in_float32(maps, dtype):
    low = [feature.to(dtype) for feature in maps]
    for is_enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_enabled):
            loss = fsp(*low)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(by_hand(*(feature.double() for feature in low)), rel=1e-5)


@pytest.mark.slow
def test_compiles_to_the_same_value(maps):
    compiled = torch.compile(fsp, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*maps), fsp(*maps), rtol=1e-12, atol=0)


def test_says_what_to_do_about_unequal_widths_and_vectors(maps):
    with pytest.raises(ValueError, match=r"\(3, 2, 4\) of the student and \(3, 2, 5\).*1x1 connector \(MatchWidth"):
        fsp(maps[0], maps[1][:, :4], *maps[2:])
    with pytest.raises(ValueError, match=r"found \(3, 2, 4, 6\) in front and \(3, 5\) behind"):
        fsp(maps[0], maps[1][:, :, 0, 0], *maps[2:])
