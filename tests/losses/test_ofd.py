"""The overhaul: margins against quadrature and simulation, the margin ReLU, and partial L2 by three definitions."""

import itertools
import math
import statistics

import pytest
import torch
from torch import nn

from understudy.losses import kd_svd
from understudy.losses.ofd import MarginReLU, authors_negative_mean, negative_mean, partial_l2
from understudy.methods import find


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def by_quadrature(mean, std):
    """-std times the mean of u > 0 under exp(-r u - u^2 / 2), r = mean / std: Simpson's rule, nothing cancels."""
    ratio, num_steps = mean / std, 20_000
    centre = max(0.0, -ratio)
    low, high = max(0.0, centre - 12.0), centre + 12.0 / max(1.0, ratio / 3)
    values, weights = [], []
    for k in range(num_steps + 1):
        u = low + k * (high - low) / num_steps
        simpson = 1 if k in (0, num_steps) else 2 + 2 * (k % 2)
        # For r < 0 the exponent is completed to -(u + r)^2 / 2, its largest value 0.
        weights.append(simpson * math.exp(-((u - centre) ** 2) / 2 - max(ratio, 0.0) * u))
        values.append(u * weights[-1])
    return -std * math.fsum(values) / math.fsum(weights)


def by_definition(mean, std):
    """The quotient of the paper, good to about twelve digits while std is not small beside a positive mean."""
    normal = statistics.NormalDist()
    return mean - std * normal.pdf(mean / std) / normal.cdf(-mean / std)


@pytest.mark.parametrize("ratio", [-30.0, -5.0, -1.0, 0.0, 0.7, 3.0, 4.99, 5.01, 8.0, 37.0, 1e3, 1e6])
def test_margin_is_the_expected_negative_value(ratio):
    assert negative_mean(tensor(0.3 * ratio), tensor(0.3)).item() == pytest.approx(
        by_quadrature(0.3 * ratio, 0.3), rel=1e-12
    )


@pytest.mark.parametrize(
    ("std", "mean", "expected"),
    [(1, 0, -0.797884560803), (0.5, 0.5, -0.262567638080), (2, -1, -2.018320867674), (0.1, 1, -0.009809323396)],
)
def test_margin_has_these_values(std, mean, expected):
    assert negative_mean(tensor(mean), tensor(std)).item() == pytest.approx(expected, abs=1e-12)


def test_margin_is_the_mean_of_simulated_negatives(generator):
    mean, std = tensor(0.5, -1.0, 0.0), tensor(1.0, 0.3, -2.0)
    x = mean + std * torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    simulated = torch.stack([channel[channel < 0].mean() for channel in x.unbind(1)])
    torch.testing.assert_close(negative_mean(mean, std), simulated, rtol=1e-2, atol=0)


def test_margin_of_a_constant_channel_is_its_negative_part():
    for margin in (negative_mean, authors_negative_mean):
        assert margin(tensor(9.0, 2.0, 0.0, -3.0), torch.zeros(4)).tolist() == [0.0, 0.0, 0.0, -3.0]
    torch.testing.assert_close(negative_mean(tensor(2.0, -3.0), tensor(1e-9, 1e-9)), tensor(0.0, -3.0))


def test_margin_ignores_the_sign_of_std_and_scales_with_both(generator):
    mean, std = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    margin = negative_mean(mean, std)
    torch.testing.assert_close(negative_mean(mean, -std), margin, rtol=0, atol=0)
    torch.testing.assert_close(negative_mean(7 * mean, 7 * std), 7 * margin, rtol=1e-12, atol=0)


def test_margin_rises_with_the_mean_and_stays_below_it_and_below_zero():
    mean = torch.linspace(-60, 60, 4001, dtype=torch.float64)
    margin = negative_mean(mean, torch.ones_like(mean))
    assert (margin.diff() >= 0).all() and margin[2000:].diff().gt(0).all()
    assert (margin <= mean.clamp(max=0)).all() and (margin[2000:] < 0).all()


def test_margin_keeps_its_digits_and_dtype_in_low_precision():
    for dtype, returned in ((torch.float32, torch.float32), (torch.bfloat16, torch.float32)):
        mean, std = tensor(-300.0, -1.5, 0.25, 30.0, 1000.0).to(dtype), tensor(1.0, 0.5, 2.0, 0.25, 0.01).to(dtype)
        margin = negative_mean(mean, std)
        assert margin.dtype == returned
        torch.testing.assert_close(margin.double(), negative_mean(mean.double(), std.double()), rtol=1e-6, atol=0)


def test_the_authors_margin_is_the_same_until_negatives_are_rare():
    for mean, std in ((0.5, 0.5), (-1.0, 2.0), (3.0, 1.0), (6.0, -2.0)):
        expected = by_definition(mean, abs(std))
        assert authors_negative_mean(tensor(mean), tensor(std)).item() == pytest.approx(expected, rel=1e-10)
    assert authors_negative_mean(tensor(1.0, 3.2), tensor(0.1, -1.0)).tolist() == pytest.approx([-0.3, -3.0])


def test_the_authors_margin_jumps_where_negatives_are_rare_and_the_exact_one_does_not():
    edge = statistics.NormalDist().inv_cdf(0.999)  # P(x < 0) is 0.001 at this mean, for a deviation of 1
    around, ones = tensor(edge - 1e-9, edge + 1e-9), tensor(1.0, 1.0)
    exact = negative_mean(around, ones)
    assert exact.tolist() == pytest.approx([-0.27686, -0.27686], abs=1e-5)
    assert exact.diff().abs() < 1e-8
    authors = authors_negative_mean(around, ones)
    assert authors[0] == exact[0] and authors[1] == -3


@pytest.fixture
def norm(generator):
    norm = nn.BatchNorm2d(5).double()
    with torch.no_grad():
        norm.weight.copy_(torch.randn(5, generator=generator, dtype=torch.float64))
        norm.bias.copy_(torch.tensor([-1.0, 0.0, 0.5, 2.0, 9.0]))
    return norm


@pytest.mark.parametrize("margin", ["exact", "authors"])
def test_margin_relu_is_the_larger_of_feature_and_margin(norm, generator, margin):
    feature = 3 * torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64)
    transformed = MarginReLU(feature.shape, norm, form=margin)(feature)
    form = negative_mean if margin == "exact" else authors_negative_mean
    for image, channel, row, column in itertools.product(range(2), range(5), range(3), range(4)):
        lowest = form(norm.bias[channel], norm.weight[channel]).item()
        assert transformed[image, channel, row, column] == max(feature[image, channel, row, column].item(), lowest)


def test_margin_relu_keeps_its_margins_in_a_buffer_that_is_saved_and_not_learnt(norm):
    module = MarginReLU((2, 5, 3, 4), norm)
    expected = module.margin_C.clone()
    with torch.no_grad():
        norm.bias.add_(1.0)
    assert torch.equal(module.margin_C, expected)
    assert list(module.parameters()) == [] and not module.margin_C.requires_grad
    assert list(module.state_dict()) == ["margin_C"]
    assert module.to(torch.float32).margin_C.dtype == torch.float32


def test_margin_relu_without_weights_takes_a_standard_normal():
    module = MarginReLU((2, 5, 3, 4), nn.BatchNorm2d(5, affine=False))
    torch.testing.assert_close(module.margin_C, torch.full((5,), -math.sqrt(2 / math.pi)))


def test_margin_relu_of_a_batchnorm_without_bias_has_its_numbers_where_the_weight_is(generator):
    norm = nn.BatchNorm2d(5, dtype=torch.float64)
    norm.register_parameter("bias", None)
    norm.weight.data.uniform_(0.5, 2.0, generator=generator)
    centred = nn.BatchNorm2d(5, dtype=torch.float64)
    centred.load_state_dict({**norm.state_dict(), "bias": torch.zeros(5, dtype=torch.float64)})
    module, expected = (MarginReLU((2, 5, 3, 4), one) for one in (norm, centred))
    assert module.margin_C.dtype == torch.float64 and torch.equal(module.margin_C, expected.margin_C)


def test_margin_relu_of_minus_infinity_changes_nothing_and_of_zero_is_a_relu(norm, generator):
    feature = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64)
    module = MarginReLU(feature.shape, norm)
    module.margin_C.fill_(-math.inf)
    assert torch.equal(module(feature), feature)
    module.margin_C.fill_(0.0)
    assert torch.equal(module(feature), feature.relu())


def test_margin_relu_without_a_batchnorm_takes_the_batchs_own_negatives(generator):
    feature = torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64)
    feature[:, 2] = feature[:, 2].abs()
    feature[:, 3] = 0.0
    feature[1, 3, 2, 2] = -1.0  # one alone, among zeros
    feature.requires_grad_()
    module = MarginReLU(feature.shape, None)
    transformed = module(feature)
    for channel in range(4):
        negatives = [x for x in feature[:, channel].flatten().tolist() if x < 0]
        lowest = sum(negatives) / len(negatives) if negatives else 0.0
        expected = [max(x, lowest) for x in feature[:, channel].flatten().tolist()]
        assert transformed[:, channel].flatten().tolist() == pytest.approx(expected, abs=1e-14)
    transformed[:, :2].sum().backward()
    kept = (transformed == feature)[:, :2]
    assert torch.equal(feature.grad[:, :2], kept.double())
    assert not module.state_dict()


@pytest.mark.parametrize("has_norm", [True, False])
def test_margin_relu_keeps_the_features_dtype(norm, has_norm, generator):
    feature = torch.randn(2, 5, 3, 4, generator=generator).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        transformed = MarginReLU(feature.shape, norm.float() if has_norm else None)(feature)
    assert transformed.dtype == torch.bfloat16 and transformed.isfinite().all()


def test_margin_relu_names_the_forms_it_knows_and_a_wrong_number_of_channels(norm):
    with pytest.raises(ValueError, match="'official'.*'exact', 'authors'"):
        MarginReLU((2, 5, 3, 4), norm, form="official")
    with pytest.raises(ValueError, match=r"shape \(5,\).*6 channels.*pass the BatchNorm"):
        MarginReLU((2, 6, 3, 4), norm)


@pytest.fixture
def maps(generator):
    """A student and a teacher, with elements equal to the other side and to zero."""
    student, teacher = torch.randn(2, 3, 4, 2, 5, generator=generator, dtype=torch.float64)
    student[0, 0, 0], student[1, 0, 0], teacher[2, 1] = teacher[0, 0, 0], 0.0, 0.0
    return student, teacher


def by_hand(student, teacher):
    """The paper's two cases, one element at a time."""
    pairs = zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    return sum(0.0 if s <= t <= 0 else (t - s) ** 2 for s, t in pairs) / len(student)


def by_the_authors_mask(student, teacher):
    pairs = zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    return sum((s - t) ** 2 * ((s > t) or (t > 0)) for s, t in pairs) / len(student)


def by_three_terms(student, teacher):
    pairs = zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    return (sum((s - t) ** 2 * ((s > t and t <= 0) + (s <= t and t > 0) + (s > t and t > 0)) for s, t in pairs)) / len(
        student
    )


@pytest.mark.parametrize("definition", [by_hand, by_the_authors_mask, by_three_terms])
def test_partial_l2_is_each_of_three_definitions(maps, definition):
    assert partial_l2(*maps).item() == pytest.approx(definition(*maps), rel=1e-12)


def test_student_may_be_as_negative_as_it_likes():
    teacher = torch.tensor([[-1.0, -1.0, 0.0, 2.0]])
    student = torch.tensor([[-9.0, -1.0, -5.0, 2.0]], requires_grad=True)
    loss = partial_l2(student, teacher)
    loss.backward()
    assert loss == 0 and student.grad.eq(0).all()


def test_a_student_below_an_active_teacher_pays():
    assert partial_l2(torch.tensor([[-9.0, 0.5]]), torch.tensor([[1.0, -0.5]])) == 101


def test_partial_l2_has_this_gradient_and_never_the_teachers(maps):
    student, teacher = (values.clone().requires_grad_() for values in maps)
    partial_l2(student, teacher).backward()
    pairs = zip(maps[0].flatten().tolist(), maps[1].flatten().tolist(), strict=True)
    expected = [2 * (s - t) * (s > t or t > 0) / 3 for s, t in pairs]
    assert student.grad.flatten().tolist() == pytest.approx(expected, abs=1e-12)
    assert teacher.grad is None
    assert torch.autograd.gradcheck(lambda values: partial_l2(values, teacher), (student,))


def test_the_authors_weights_equalise_the_layers_of_a_wide_network(generator):
    """1e-3 (P3 + P2/2 + P1/4) is 16.384 times the sum of the means, for 64x32x32, 128x16x16 and 256x8x8."""
    (term,) = find("ofd").terms
    weighted, means = 0.0, 0.0
    for shape, weight in zip(((64, 32, 32), (128, 16, 16), (256, 8, 8)), term.layer_weights(3), strict=True):
        student, teacher = torch.randn(2, 2, *shape, generator=generator, dtype=torch.float64)
        weighted += weight * term.distance(student, teacher).item()
        means += torch.where((student > teacher) | (teacher > 0), student - teacher, 0.0).square().mean().item()
    assert weighted == pytest.approx(16.384 * means, rel=1e-10)


def test_partial_l2_is_the_mean_over_the_batch(maps):
    single = [partial_l2(student[None], teacher[None]) for student, teacher in zip(*maps, strict=True)]
    torch.testing.assert_close(partial_l2(*maps), torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_partial_l2_computes_low_precision_in_float32(maps):
    low = [values.to(torch.bfloat16) for values in maps]
    with torch.autocast("cpu", torch.bfloat16):
        inside = partial_l2(*low)
    for loss in (partial_l2(*low), inside):
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(by_hand(*(values.double() for values in low)), rel=1e-6)


def test_partial_l2_does_not_hide_a_student_that_is_not_a_number(maps):
    maps[0][0, 1, 0, 0], maps[1][0, 1, 0, 0] = math.nan, -1.0
    assert partial_l2(*maps).isnan()


def test_partial_l2_names_both_shapes_where_they_differ(maps):
    with pytest.raises(ValueError, match=r"\(3, 1, 2, 5\).*\(3, 4, 2, 5\).*1x1 convolution"):
        partial_l2(maps[0][:, :1], maps[1])


@pytest.mark.slow
@pytest.mark.parametrize("has_norm", [True, False])
def test_compiles_whole(maps, norm, has_norm):
    student, teacher = (values[:, [0, 1, 2, 3, 0]] for values in maps)
    module = MarginReLU(teacher.shape, norm if has_norm else None)
    compiled = torch.compile(lambda s, t: partial_l2(s, module(t)), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(student, teacher), partial_l2(student, module(teacher)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_default_dtype_of_torch_does_not_matter(generator, dtype):
    student, teacher = torch.randn(2, 2, 3, 4, 4, generator=generator).to(dtype)
    expected = partial_l2(student, teacher), kd_svd(student, student, teacher, teacher)
    torch.set_default_dtype(torch.float64)
    try:
        found = partial_l2(student, teacher), kd_svd(student, student, teacher, teacher)
    finally:
        torch.set_default_dtype(torch.float32)
    assert [value.dtype for value in found] == [torch.float32] * 2
    torch.testing.assert_close(found, expected)
