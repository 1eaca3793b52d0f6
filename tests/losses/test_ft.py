"""Factor transfer: the networks' sizes, the loss by hand, what must not change it, its edge and its gradient."""

import pytest
import torch
import torch.nn.functional as F

from understudy.losses.ft import Paraphraser, Translator, factor, factor_transfer
from understudy.methods import find


@pytest.fixture
def factors(generator):
    return torch.randn(2, 3, 4, 2, 5, generator=generator, dtype=torch.float64)


def parameters_of(module):
    return sum(parameter.numel() for parameter in module.parameters())


def by_hand(student, teacher):
    """One image and one element at a time."""
    total = 0.0
    for own, wanted in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        own_norm = sum(value**2 for value in own) ** 0.5
        wanted_norm = sum(value**2 for value in wanted) ** 0.5
        total += sum(abs(s / own_norm - t / wanted_norm) for s, t in zip(own, wanted, strict=True)) / len(own)
    return total / len(student)


def test_networks_have_the_sizes_of_the_authors():
    assert parameters_of(Paraphraser((1, 64, 8, 8))) == 129_312
    assert parameters_of(Translator((1, 64, 8, 8), (1, 64, 8, 8))) == 64_640


def test_encoder_and_decoder_are_three_layers_each_with_a_leaky_relu_after_every_one(generator):
    guide = Paraphraser((1, 6, 5, 3), rate=0.5).double()
    feature = torch.randn(2, 6, 5, 3, generator=generator, dtype=torch.float64)
    value = feature
    weights = dict(guide.named_parameters())
    for layer in (0, 2, 4):
        value = F.conv2d(value, weights[f"encoder.{layer}.weight"], weights[f"encoder.{layer}.bias"], padding=1)
        value = torch.where(value > 0, value, 0.1 * value)
    torch.testing.assert_close(guide.encode(feature), value)
    for layer in (0, 2, 4):
        value = F.conv_transpose2d(
            value, weights[f"decoder.{layer}.weight"], weights[f"decoder.{layer}.bias"], padding=1
        )
        value = torch.where(value > 0, value, 0.1 * value)
    torch.testing.assert_close(guide(feature), (value - feature).abs().mean())


def test_a_translator_leads_from_any_width_to_the_paraphrasers(generator):
    teacher_shape, feature = (1, 10, 4, 4), torch.randn(2, 6, 4, 4, generator=generator)
    translated = Translator((1, 6, 4, 4), teacher_shape, rate=0.3)(feature)
    assert (
        translated.shape == Paraphraser(teacher_shape, rate=0.3).encode(torch.zeros(2, 10, 4, 4)).shape == (2, 3, 4, 4)
    )


def test_a_factor_has_one_channel_at_least():
    assert Paraphraser((1, 3, 4, 4), rate=0.01).encode(torch.zeros(1, 3, 4, 4)).shape == (1, 1, 4, 4)


def test_is_the_mean_difference_of_the_unit_factors(factors):
    assert factor(*factors).item() == pytest.approx(by_hand(*factors), rel=1e-12)


def test_the_authors_weight_is_a_quarter_of_the_l1_distance_of_2048_elements(generator):
    student, teacher = torch.randn(2, 1, 32, 8, 8, generator=generator, dtype=torch.float64)
    distance = (student / student.norm() - teacher / teacher.norm()).abs().sum()
    (term,) = find("ft").terms
    assert term.weight * factor(student, teacher).item() == pytest.approx(0.244140625 * distance.item(), rel=1e-12)


def test_ignores_a_positive_scale_of_each_images_factor(factors):
    student, teacher = factors
    scale = torch.tensor([0.1, 3.0, 70.0], dtype=torch.float64)[:, None, None, None]
    torch.testing.assert_close(factor(student * scale, teacher / scale), factor(*factors), rtol=1e-12, atol=0)


def test_is_zero_for_equal_directions_and_symmetric(factors):
    assert factor(2 * factors[0], factors[0]).item() == pytest.approx(0.0, abs=1e-15)
    assert factor(factors[1], factors[0]) == factor(*factors)


def test_reaches_its_bound_for_opposite_factors_of_equal_elements():
    ones = torch.ones(2, 4, 3, 3, dtype=torch.float64)
    assert factor(-ones, ones).item() == pytest.approx(2 / 36**0.5, rel=1e-12)


def test_factors_of_zeros_stay_zero_with_a_finite_gradient(factors):
    student = factors[0].clone()
    student[1] = 0.0
    student.requires_grad_()
    loss = factor(student, factors[1])
    loss.backward()
    rest = factor(student[[0, 2]], factors[1][[0, 2]]) * 2 + (factors[1][1] / factors[1][1].norm()).abs().mean()
    torch.testing.assert_close(loss, rest / 3, rtol=1e-12, atol=0)
    assert student.grad.isfinite().all() and student.grad.abs().max() <= 1.0
    assert factor(0 * factors[0], 0 * factors[1]) == 0


def test_passes_gradcheck_and_is_the_mean_over_the_batch(factors):
    student, teacher = factors
    assert torch.autograd.gradcheck(lambda s: factor(s, teacher), (student.clone().requires_grad_(),))
    single = [factor(s[None], t[None]) for s, t in zip(student, teacher, strict=True)]
    torch.testing.assert_close(factor(student, teacher), torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_transfers_to_the_factor_that_the_frozen_paraphraser_reads(generator):
    guide = Paraphraser((1, 6, 4, 4)).double().requires_grad_(False).eval()
    teacher = torch.randn(2, 6, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    student = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    loss = factor_transfer(student, teacher, guide=guide)
    assert loss.item() == pytest.approx(by_hand(student, guide.encode(teacher)), rel=1e-12)
    loss.backward()
    assert student.grad.any() and teacher.grad is None
    assert all(parameter.grad is None for parameter in guide.parameters())


def test_a_paraphraser_learns_from_its_own_loss_and_gives_the_teacher_no_gradient(generator):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        guide = Paraphraser((1, 4, 4, 4))
    feature = torch.rand(4, 1, 4, 4, generator=generator).expand(4, 4, 4, 4).clone().requires_grad_()
    optimizer = torch.optim.Adam(guide.parameters(), lr=0.01)
    first = guide(feature)
    for _ in range(25):
        optimizer.zero_grad()
        guide(feature).backward()
        optimizer.step()
    assert guide(feature) < 0.7 * first
    assert feature.grad is None and all(parameter.grad is not None for parameter in guide.parameters())


def test_never_gives_the_teachers_factor_a_gradient(factors):
    student, teacher = (values.clone().requires_grad_() for values in factors)
    factor(student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computes_low_precision_in_float32(factors, dtype):
    low = (100 * factors).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        loss = factor(low[0], low[1])
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_hand(low[0].double(), low[1].double()), rel=1e-5)


def test_the_paraphrasers_error_is_float32_under_autocast(generator):
    feature = torch.randn(2, 4, 4, 4, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        assert Paraphraser((1, 4, 4, 4))(feature.bfloat16()).dtype == torch.float32


def test_unequal_factors_are_an_error_that_says_what_to_do(factors):
    with pytest.raises(ValueError, match=r"\(3, 2, 2, 5\).*\(3, 4, 2, 5\).*Translator"):
        factor(factors[0][:, :2], factors[1])


@pytest.mark.slow
def test_compiles_to_the_same_value(factors):
    compiled = torch.compile(factor, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*factors), factor(*factors), rtol=0, atol=0)
