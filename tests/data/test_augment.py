import numpy as np
import pytest
import torch
from torch import Tensor

from understudy.data import Augment


def one_at_a_time(images: Tensor, plan: tuple[Tensor, Tensor, Tensor], pad: int) -> Tensor:
    """The definition, image by image: np.pad, a slice, a flip."""
    results = []
    for image, top, left, flip in zip(images.numpy(), *(drawn.tolist() for drawn in plan), strict=True):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
        cropped = padded[:, top : top + image.shape[1], left : left + image.shape[2]]
        results.append(torch.from_numpy((cropped[:, :, ::-1] if flip else cropped).copy()))
    return torch.stack(results)


@pytest.mark.parametrize(("pad", "height", "width"), [(4, 32, 32), (1, 8, 8), (0, 5, 6), (3, 4, 9), (5, 9, 6)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_equals_pad_slice_flip_of_each_image(pad, height, width, channels, generator):
    augment = Augment(pad=pad)
    images = torch.randint(0, 256, (200, channels, height, width), dtype=torch.uint8, generator=generator)
    plan = augment.plan(200, generator)
    result = augment.apply(images, *plan)
    assert result.dtype == torch.uint8
    assert torch.equal(result, one_at_a_time(images, plan, pad))


def test_images_in_channels_last_give_the_same(generator):
    augment = Augment(pad=2)
    images = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8, generator=generator)
    plan = augment.plan(20, generator)
    turned = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment.apply(turned, *plan), augment.apply(images, *plan))


def test_the_plan_uses_every_offset_and_both_directions_about_equally(generator):
    offset_y, offset_x, flip = Augment(pad=2).plan(50_000, generator)
    for offset in (offset_y, offset_x):
        counts = torch.bincount(offset)
        assert len(counts) == 5 and counts.min() > 9_500 and counts.max() < 10_500
    assert 24_500 < flip.sum() < 25_500
    assert abs(np.corrcoef([offset_y.numpy(), offset_x.numpy(), flip.numpy()])[0, 1:]).max() < 0.02


def test_without_pad_and_flip_images_stay_as_they_are(generator):
    augment = Augment(pad=0, flip=False)
    images = torch.randint(0, 256, (50, 3, 6, 5), dtype=torch.uint8, generator=generator)
    assert torch.equal(augment.apply(images, *augment.plan(50, generator)), images)


def test_without_flip_nothing_is_flipped(generator):
    assert not Augment(pad=4, flip=False).plan(1000, generator)[2].any()


def test_a_pad_as_large_as_the_image_is_refused(generator):
    Augment(pad=7).check(8, 32)
    with pytest.raises(ValueError, match=r"pad 8 is too large for images of 8x32; .* at most 7"):
        Augment(pad=8).check(8, 32)
    with pytest.raises(ValueError, match="pad 8 is too large"):
        images = torch.zeros(1, 1, 8, 32, dtype=torch.uint8)
        Augment(pad=8).apply(images, *Augment(pad=8).plan(1, generator))
    with pytest.raises(ValueError, match="0 or more, found -1"):
        Augment(pad=-1)


@pytest.mark.gpu
def test_a_device_gives_the_same_pixels_as_the_processor(generator):
    augment = Augment()
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator)
    plan = augment.plan(64, generator)
    on_device = augment.apply(images.cuda(), *(drawn.cuda() for drawn in plan))
    assert torch.equal(on_device.cpu(), augment.apply(images, *plan))
