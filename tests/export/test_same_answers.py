"""What counts as the same answers, and what does not."""

import math

import pytest
import torch

from understudy.export.same_answers import BATCH_SIZES, ExportError, compare


@pytest.fixture
def images(generator):
    return torch.randn(128, 3, generator=generator)


def test_every_image_is_compared_in_batches_of_several_sizes(images):
    seen = []

    def other(part):
        seen.append(part)
        return part

    found = compare(lambda part: part, other, images, tolerance=0.0)
    assert [len(part) for part in seen] == list(BATCH_SIZES) and 1 in BATCH_SIZES and sum(BATCH_SIZES) == 128
    assert torch.equal(torch.cat(seen), images)
    assert (found.num_images, found.num_equal, found.largest_difference) == (128, 128, 0.0)
    assert found.largest_logit == images.abs().max().item()


@pytest.mark.parametrize("num_images", [1, 5, 60])
def test_few_images_are_all_compared(images, num_images):
    assert compare(lambda part: part, lambda part: part, images[:num_images], tolerance=0.0).num_images == num_images


def test_a_difference_is_allowed_up_to_the_tolerance_of_the_largest_logit(images):
    largest = images.abs().max().item()
    shifted = images + 0.01 * largest
    assert compare(lambda _: images, lambda _: shifted, images[:1], tolerance=0.0101).num_equal == 128
    with pytest.raises(ExportError, match=r"differ from the network's by up to 0\.0\d+, more than 0\.0099 of"):
        compare(lambda _: images, lambda _: shifted, images[:1], tolerance=0.0099)


def test_predictions_that_changed_are_counted():
    # The first image's two logits all but tie, so that a small difference decides.
    logits = torch.tensor([[1.0, 1.0 + 1e-6], [5.0, 0.0]])
    found = compare(lambda part: part, lambda part: part + torch.tensor([2e-6, 0.0]), logits, tolerance=1e-4)
    assert (found.num_equal, found.num_images) == (1, 2)


def test_one_image_answered_otherwise_is_enough(images):
    def other(part):
        return part + (len(part) == 7) * torch.eye(len(part), 3) * 0.5

    with pytest.raises(ExportError, match="by up to 0.5"):
        compare(lambda part: part, other, images, tolerance=1e-4)


def test_what_is_not_a_number_or_has_another_shape_differs(images):
    with pytest.raises(ExportError, match="up to nan"):
        compare(lambda part: part, lambda part: part * math.nan, images, tolerance=1.0)
    with pytest.raises(ExportError, match=r"answers \(128, 2\) to 128 images, the network \(128, 3\)"):
        compare(lambda part: part, lambda part: part[:, :2], images, tolerance=1.0)
