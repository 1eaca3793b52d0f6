import pytest
import torch
from PIL import Image

from understudy.data import Crops


def gradient(height: int, width: int) -> Image.Image:
    """Red grows from left to right, green from top to bottom."""
    pixels = torch.zeros(height, width, 3, dtype=torch.uint8)
    pixels[..., 0] = torch.linspace(0, 255, width).round().byte()
    pixels[..., 1] = torch.linspace(0, 255, height).round().byte()[:, None]
    return Image.fromarray(pixels.numpy())


def test_the_seed_alone_decides_a_crop():
    crops, image = Crops(size=16), gradient(40, 60)
    first = crops.random(image, 3)
    torch.manual_seed(99)
    crops.random(image, 4)
    assert first.shape == (3, 16, 16) and first.dtype == torch.uint8
    assert torch.equal(crops.random(image, 3), first) and not torch.equal(crops.random(image, 4), first)


def test_crops_are_between_the_two_shares_of_the_area_and_as_often_flipped_as_not():
    crops = Crops(size=16, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    shown = [crops.random(gradient(64, 64), seed).float() for seed in range(60)]
    # A quarter of the area is half of a side, over which each colour grows by half of its range.
    rises = torch.stack([image[1, -1].mean() - image[1, 0].mean() for image in shown])
    assert rises.min() > 105 and rises.max() < 130
    flipped = sum(bool(image[0, :, 0].mean() > image[0, :, -1].mean()) for image in shown)
    assert 15 < flipped < 45
    never = Crops(size=16, flip=False)
    assert all(
        image[0, :, 0].mean() < image[0, :, -1].mean()
        for image in (never.random(gradient(64, 64), s).float() for s in range(9))
    )


def test_measured_is_the_middle_of_the_shorter_side():
    middle = Crops(size=28, crop_pct=0.875).middle(gradient(64, 128)).float()
    assert middle.shape == (3, 28, 28)
    # 28 of 32 rows and 28 of 64 columns, both in the middle.
    for channel, share in ((0, 28 / 64), (1, 28 / 32)):
        values = middle[channel].mean(dim=channel)
        assert abs(float(values[0] + values[-1]) - 255) < 6
        assert abs(float(values[-1] - values[0]) - 255 * share) < 10


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 0}, "size must be 1 or more, found 0"),
        ({"size": 8, "crop_pct": 1.5}, "crop_pct must be above 0 and at most 1, found 1.5"),
        ({"size": 8, "scale": (0.9, 0.1)}, "scale must be two shares of the area"),
    ],
)
def test_crops_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Crops(**settings)


@pytest.mark.parametrize(("height", "width", "left_out"), [(300, 400, 0.0), (400, 400, 0.0), (300, 600, 1 / 3)])
def test_of_the_whole_area_an_image_is_resized_and_only_a_long_one_loses_its_ends(height, width, left_out):
    crops = Crops(size=8, scale=(1.0, 1.0), flip=False)
    shown = crops.random(gradient(height, width), 0).float()
    others = [crops.random(gradient(height, width), seed).float() for seed in range(1, 6)]
    # A crop of the same area may round to a pixel less.
    assert all((other - shown).abs().max() <= 2 for other in others)
    # Between the centres of the first and the last of 8 pixels lie 7/8 of what is seen.
    for channel, share in ((0, 1 - left_out), (1, 1.0)):
        values = shown[channel].mean(dim=channel)
        assert abs(float(values[-1] - values[0]) - 255 * share * 7 / 8) < 8
