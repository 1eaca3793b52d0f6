import pytest
import torch

from understudy.data import Mixing

K = 5


def batch(size=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(size, 3, 8, 8, generator=generator), torch.arange(size) % K


def mixing(**changes) -> Mixing:
    return Mixing(**({"num_classes": K, "seed": 3} | changes))


def test_nothing_asked_for_changes_nothing():
    images, labels = batch()
    found = mixing()(images, labels, 1, 0)
    assert found[0] is images and found[1] is labels


def test_smoothing_spreads_its_share_over_all_classes():
    images, labels = batch()
    same, soft = mixing(smoothing=0.1)(images, labels, 1, 0)
    assert same is images and soft.shape == (6, K) and soft.dtype == torch.float32
    for row, label in zip(soft, labels, strict=True):
        for k in range(K):
            assert float(row[k]) == pytest.approx((0.9 if k == label else 0.0) + 0.1 / K)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mixup_mixes_images_and_labels_by_the_same_share(smoothing):
    images, labels = batch()
    mixed, soft = mixing(mixup=1.0, smoothing=smoothing)(images, labels, 1, 0)
    before = torch.tensor([5, 0, 1, 2, 3, 4])
    one_hot = torch.eye(K)[labels]
    # The share of the first image, from its label, and then everything else from the share.
    share = float((soft[1, labels[1]] - smoothing / K) / (1 - smoothing))
    assert 0 < share < 1
    expected = (share * one_hot + (1 - share) * one_hot[before]) * (1 - smoothing) + smoothing / K
    torch.testing.assert_close(soft, expected)
    torch.testing.assert_close(mixed, share * images + (1 - share) * images[before])


def test_cutmix_pastes_a_box_and_as_much_of_the_label():
    images, labels = batch()
    for step in range(5):
        mixed, soft = mixing(cutmix=1.0)(images, labels, 1, step)
        is_own = (mixed == images).all(dim=1)
        assert torch.equal(mixed[1:].permute(0, 2, 3, 1)[~is_own[1:]], images[:-1].permute(0, 2, 3, 1)[~is_own[1:]])
        torch.testing.assert_close(soft[1, labels[1]], is_own[1].float().mean())
        torch.testing.assert_close(soft.sum(dim=1), torch.ones(6))


def test_what_is_drawn_depends_on_seed_epoch_and_step_alone():
    images, labels = batch()
    made = mixing(mixup=0.8, cutmix=1.0)
    first = made(images, labels, 2, 5)
    state = torch.get_rng_state()
    torch.manual_seed(4)
    made(images, labels, 2, 6)
    again = mixing(mixup=0.8, cutmix=1.0)(images, labels, 2, 5)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    for other in (
        made(images, labels, 2, 6),
        made(images, labels, 3, 5),
        mixing(mixup=0.8, seed=4)(images, labels, 2, 5),
    ):
        assert not torch.equal(other[0], first[0])
    torch.set_rng_state(state)
    made(images, labels, 9, 9)
    assert torch.equal(torch.get_rng_state(), state)


def test_with_both_each_step_draws_one_of_them():
    images, labels = batch()
    made = mixing(mixup=1.0, cutmix=1.0)
    # CutMix leaves pixels of the image as they were; mixup none.
    kept = [bool((made(images, labels, 1, step)[0] == images).any()) for step in range(40)]
    assert 8 < sum(kept) < 32


@pytest.mark.parametrize("changes", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_the_layout_is_kept(changes):
    images, labels = batch()
    turned = images.contiguous(memory_format=torch.channels_last)
    mixed, _ = mixing(**changes)(turned, labels, 1, 0)
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(mixed, mixing(**changes)(images, labels, 1, 0)[0])
