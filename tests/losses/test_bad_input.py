"""What cannot be compared is an error in words, never a number that broadcasting made."""

import pytest
import torch

from understudy import losses

FOUR = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
LOGITS = torch.randn(4, 10, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["activation_boundary", "activation_agreement", "hint", "partial_l2"])
@pytest.mark.parametrize("other", [FOUR[:, :1], FOUR[:1], FOUR[..., :1], FOUR[0]])
def test_features_of_other_shapes(name, other):
    distance = getattr(losses, name)
    for pair in ((FOUR, other), (other, FOUR)):
        with pytest.raises(ValueError, match="found the student's"):
            distance(*pair)


@pytest.mark.parametrize("name", ["kd", "dtl"])
@pytest.mark.parametrize("other", [LOGITS[:, :1], LOGITS[:1], LOGITS[0]])
def test_logits_of_other_shapes(name, other):
    with pytest.raises(ValueError, match=r"found the\s+student's"):
        getattr(losses, name)(LOGITS, other)


@pytest.mark.parametrize("kernel", ["linear", "polynomial", "gaussian"])
def test_channels_of_other_images(kernel):
    with pytest.raises(ValueError, match="equal B and H x W"):
        losses.nst(FOUR, FOUR[:1], kernel=kernel)


def test_attention_to_other_images():
    with pytest.raises(ValueError, match=r"maps of \(4, 5, 5\) of the student and \(1, 5, 5\)"):
        losses.attention(FOUR, FOUR[:1])


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_none(temperature):
    with pytest.raises(ValueError, match="temperature is .* above 0"):
        losses.kd(LOGITS, LOGITS, temperature=temperature)


TARGET = torch.zeros(4, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.kd(LOGITS[0], LOGITS[0]), r"kd compares logits \(B, K\)"),
        (lambda: losses.dtl(LOGITS[0], LOGITS[0]), r"dtl compares logits \(B, K\)"),
        (lambda: losses.fsp(FOUR, FOUR[:2], FOUR, FOUR[:2]), "maps of the same images; found 4 and 2"),
        (lambda: losses.kd_svd(FOUR, FOUR[:2], FOUR, FOUR[:2]), "4 images in front and 2 at the back"),
        (lambda: losses.kd_svd(LOGITS, LOGITS, LOGITS, LOGITS), r"those of maps \(B, C, H, W\)"),
        (lambda: losses.rkd_angle(LOGITS[:0], LOGITS[:0]), "an empty batch"),
        (lambda: losses.boundary_samples(torch.nn.Flatten(), FOUR, TARGET[:2]), "found targets of shape"),
        (lambda: losses.boundary_samples(torch.nn.Flatten(), FOUR, TARGET.float()), "torch.float32"),
        (lambda: losses.boundary_samples(torch.nn.Flatten(), FOUR, TARGET, bound=-1.0), "bound=-1"),
        (lambda: losses.boundary_samples(torch.nn.Flatten(), FOUR, TARGET, steps=-3), "steps=-3"),
    ],
)
def test_what_would_fail_far_inside(call, message):
    with pytest.raises(ValueError, match=message):
        call()


BROKEN = torch.full_like(FOUR, torch.nan)


@pytest.mark.parametrize("sides", [(FOUR, BROKEN), (BROKEN, FOUR)])
def test_what_is_not_a_number_is_never_hidden(sides):
    student, teacher = sides
    for kernel in ("linear", "polynomial", "gaussian"):
        assert losses.nst(student, teacher, kernel=kernel).isnan()
    for k in (1, 2):
        own = student.clone().requires_grad_()
        value = losses.kd_svd(own, own, teacher, teacher, k=k)
        value.backward()
        assert value.isnan()


def test_a_gradient_that_is_not_a_number_is_never_hidden():
    images = FOUR.clone().requires_grad_()
    good, broken = images.square().sum(dim=(1, 2, 3)), (images * torch.nan).sum(dim=(1, 2, 3))
    assert losses.jacobian(good, broken, images).isnan() and losses.jacobian(broken, good, images).isnan()


def test_a_negative_margin():
    with pytest.raises(ValueError, match="margin is -1"):
        losses.activation_boundary(FOUR, FOUR, margin=-1.0)


def test_agreement_answers_in_the_inputs_precision():
    assert losses.activation_agreement(FOUR.double(), FOUR.double()).dtype == torch.float64
    assert losses.activation_agreement(FOUR.bfloat16(), FOUR.bfloat16()).dtype == torch.float32
