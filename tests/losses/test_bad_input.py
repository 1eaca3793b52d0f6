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


def test_a_negative_margin():
    with pytest.raises(ValueError, match="margin is -1"):
        losses.activation_boundary(FOUR, FOUR, margin=-1.0)


def test_agreement_answers_in_the_inputs_precision():
    assert losses.activation_agreement(FOUR.double(), FOUR.double()).dtype == torch.float64
    assert losses.activation_agreement(FOUR.bfloat16(), FOUR.bfloat16()).dtype == torch.float32
