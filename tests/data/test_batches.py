import hashlib
from collections import Counter

import pytest
import torch
from torch import Tensor

from understudy.data import Augment, Batches, ImageSet
from understudy.data.batches.epochs import Showing
from understudy.data.batches.resident import in_order
from understudy.data.batches.scale import Scale

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 70.0, 80.0)
AUGMENT = Augment(pad=2)


def scale(**changes) -> Scale:
    return Scale(**({"mean": MEAN, "std": STD, "device": "cpu"} | changes))


def batches(image_set: ImageSet, *, augment: Augment | None = AUGMENT, **changes) -> Batches:
    of_scale = {key: changes.pop(key) for key in ("mean", "std", "device", "channels_last") if key in changes}
    return Batches(image_set, Showing(**({"batch_size": 8, "seed": 7} | changes)), scale(**of_scale), augment)


def joined(epoch) -> tuple[Tensor, Tensor]:
    images, labels = zip(*epoch, strict=True)
    return torch.cat(images), torch.cat(labels)


def numbered(num_images: int) -> ImageSet:
    """One-pixel images whose value is their own number."""
    values = torch.arange(num_images, dtype=torch.uint8)
    return ImageSet(images=values.view(-1, 1, 1, 1), labels=torch.zeros(num_images).long(), class_names=("one",))


def numbers_in(epoch) -> list[int]:
    return joined(epoch)[0].flatten().round().int().tolist()


PLAIN = {"mean": (0.0,), "std": (1.0,), "augment": None}


@pytest.mark.parametrize("first_step", [0, 1, 4, 6])
@pytest.mark.parametrize("augment", [None, Augment(pad=2)])
def test_an_epoch_entered_in_the_middle_is_the_tail_of_the_whole(image_set, first_step, augment):
    made = batches(image_set, augment=augment)
    images, labels = joined(made.epoch(3))
    tail_images, tail_labels = joined(made.epoch(3, first_step=first_step))
    assert torch.equal(tail_images, images[first_step * 8 :])
    assert torch.equal(tail_labels, labels[first_step * 8 :])


def test_an_epoch_entered_at_its_end_is_empty_and_beyond_is_refused(image_set):
    made = batches(image_set)
    assert list(made.epoch(0, first_step=7)) == []
    with pytest.raises(ValueError, match="7 steps of 8 images, so it cannot go on at step 8"):
        made.epoch(0, first_step=8)


def test_an_epoch_depends_on_seed_and_number_and_on_nothing_else(image_set):
    first = joined(batches(image_set).epoch(2))[0]
    torch.manual_seed(12345)
    made = batches(image_set)
    list(made.epoch(0))
    assert torch.equal(joined(made.epoch(2))[0], first)
    for other in (made.epoch(1), made.epoch(3), batches(image_set, seed=8).epoch(2)):
        assert not torch.equal(joined(other)[0], first)
    # A sum of both numbers would make these two the same.
    assert not torch.equal(joined(batches(image_set, seed=8).epoch(1))[0], first)


def test_an_epoch_leaves_the_global_generator_alone(image_set):
    before = torch.get_rng_state()
    list(batches(image_set).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_sees_every_image_once_except_the_incomplete_batch():
    made = batches(numbered(60), **PLAIN)
    assert made.steps_per_epoch == 7
    seen = Counter(numbers_in(made.epoch(0)))
    assert len(seen) == 56 and set(seen.values()) == {1}
    left_out = [frozenset(range(60)) - set(numbers_in(made.epoch(number))) for number in range(5)]
    assert len(set(left_out)) == 5


def test_a_set_smaller_than_a_batch_is_one_batch():
    made = batches(numbered(5), batch_size=128, **PLAIN)
    assert made.steps_per_epoch == 1
    assert sorted(numbers_in(made.epoch(0))) == [0, 1, 2, 3, 4]


def test_labels_stay_with_their_images_and_pixels_are_normalised(image_set):
    images, labels = joined(batches(image_set, augment=None).epoch(0))
    known = {}
    for image, label in zip(image_set.images, image_set.labels, strict=True):
        for channel in range(3):
            pixel = (image[channel, 0, 0].item() - MEAN[channel]) / STD[channel]
            known.setdefault(label.item(), set()).add(round(pixel, 4))
    for image, label in zip(images, labels, strict=True):
        assert all(round(pixel, 4) in known[label.item()] for pixel in image[:, 0, 0].tolist())
    whole = torch.stack([(image.double() - torch.tensor(MEAN)[:, None, None]) for image in image_set.images])
    whole = whole / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(images.double().std(), whole.std(), rtol=0.02, atol=0)


def test_augmentation_changes_the_images_but_not_the_order(image_set):
    plain_images, plain_labels = joined(batches(image_set, augment=None).epoch(0))
    images, labels = joined(batches(image_set, augment=Augment(pad=2)).epoch(0))
    assert torch.equal(labels, plain_labels)
    changed = (images != plain_images).flatten(1).any(dim=1)
    assert changed.float().mean() > 0.9
    still, _ = joined(batches(image_set, augment=Augment(pad=0, flip=False)).epoch(0))
    assert torch.equal(still, plain_images)


def test_every_batch_of_an_epoch_has_its_own_augmentation(image_set):
    copies = image_set.subset([0] * 60)
    images, _ = joined(batches(copies, augment=Augment(pad=4)).epoch(0))
    # 56 draws out of 162 crops and flips; eight would mean that one batch's draws were used for all.
    assert len(images.flatten(1).unique(dim=0)) > 30


def test_the_third_epoch_is_the_set_in_its_own_order_and_the_third_view_of_it(image_set):
    def drawn_from(words: bytes) -> torch.Generator:
        digest = hashlib.sha256(words).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))

    order = torch.randperm(60, generator=drawn_from(b"epoch 3 of seed 7"))
    augment = Augment(pad=2)
    crops = [of_image[order] for of_image in augment.plan(60, drawn_from(b"view 2 of seed 7"))]
    expected = augment.apply(image_set.images[order], *crops).float()
    expected = (expected - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    assert torch.equal(joined(batches(image_set).epoch(3))[0], expected[:56])


def by_image(made: Batches, number: int) -> dict[int, Tensor]:
    """Index of an image -> what an epoch shows of it."""
    shown = {}
    for step, (images, _) in enumerate(made.epoch(number)):
        shown |= dict(zip(made.chosen(number, step).tolist(), images, strict=True))
    return shown


def test_with_views_an_image_looks_the_same_every_so_many_epochs_while_the_order_changes(image_set):
    made = batches(image_set, views=3)
    epochs = [by_image(made, number) for number in range(1, 8)]
    assert [made.view(number) for number in range(1, 8)] == [0, 1, 2, 0, 1, 2, 0]
    for one, first in enumerate(epochs):
        for other, second in enumerate(epochs):
            both = first.keys() & second.keys()
            same = [torch.equal(first[index], second[index]) for index in both]
            assert all(same) if (other - one) % 3 == 0 else sum(same) < 0.2 * len(same)
    orders = [torch.cat([made.chosen(number, step) for step in range(7)]) for number in (1, 4)]
    assert not torch.equal(*orders)


def test_a_view_in_order_is_what_its_epochs_show_and_its_last_batch_begins_again(image_set):
    made = batches(image_set, views=2)
    for view in (0, 1):
        whole = list(made.in_view(view))
        assert [len(images) for images in whole] == [8] * 8
        rows = torch.cat(whole)
        assert torch.equal(rows[60:], rows[:4])
        for index, image in by_image(made, view + 1).items():
            assert torch.equal(image, rows[index])


def test_a_view_depends_on_seed_and_its_number_not_on_how_many_there_are(image_set):
    rows = torch.cat(list(batches(image_set, views=2).in_view(1)))
    assert torch.equal(torch.cat(list(batches(image_set, views=9, batch_size=64).in_view(1)))[:60], rows[:60])
    assert not torch.equal(torch.cat(list(batches(image_set, views=2, seed=8).in_view(1))), rows)


def test_epochs_whose_views_never_come_again_are_those_of_more_views_than_epochs(image_set):
    own, many = batches(image_set), batches(image_set, views=5)
    assert [own.view(number) for number in (1, 2, 5, 6)] == [0, 1, 4, 5]
    for number in range(1, 6):
        assert torch.equal(joined(own.epoch(number))[0], joined(many.epoch(number))[0])
    assert not torch.equal(joined(own.epoch(6))[0], joined(many.epoch(6))[0])
    assert torch.equal(torch.cat(list(own.in_view(3))), torch.cat(list(many.in_view(3))))


def test_images_that_are_not_augmented_have_one_view_and_those_an_epoch_shows_again_none(image_set):
    plain = batches(image_set, augment=None)
    assert [plain.view(number) for number in (1, 2)] == [0, 0]
    assert torch.equal(torch.cat(list(plain.in_view(0)))[10], by_image(plain, 5)[10])
    again = {"epoch_images": 61}
    assert batches(image_set, **again).view(1) is None and batches(image_set, **again, views=2).view(4) == 1
    assert batches(image_set, images_per_class=2).view(1) is None and batches(image_set, epoch_images=60).view(1) == 0
    for made, view, why in (
        (batches(image_set), -1, "one for each epoch"),
        (batches(image_set, views=2), 2, "the images have 2"),
        (batches(image_set, **again), 0, "draws an image anew each time"),
        (plain, 1, "the images have 1"),
    ):
        with pytest.raises(ValueError, match=f"no view {view}: .*{why}"):
            made.in_view(view)
    with pytest.raises(ValueError, match="views must be 0"):
        batches(image_set, views=-1)


def test_the_layout_is_as_asked_for_and_changes_no_value(image_set):
    plain, _ = joined(batches(image_set).epoch(0))
    turned = next(batches(image_set, channels_last=True).epoch(0))[0]
    assert turned.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(turned, plain[:8])


def test_in_order_gives_every_image_once_and_the_last_batch_is_smaller(image_set):
    made = list(in_order(image_set, scale(), batch_size=8))
    assert [len(labels) for _, labels in made] == [8] * 7 + [4]
    images, labels = joined(made)
    assert torch.equal(labels, image_set.labels)
    expected = image_set.images.double() - torch.tensor(MEAN).double()[:, None, None]
    expected = expected / torch.tensor(STD).double()[:, None, None]
    torch.testing.assert_close(images, expected.float())
    turned, _ = next(in_order(image_set, scale(channels_last=True), batch_size=8))
    assert turned.is_contiguous(memory_format=torch.channels_last) and torch.equal(turned, images[:8])


def test_what_cannot_be_batched_is_refused_before_the_first_batch(image_set):
    with pytest.raises(ValueError, match="no images"):
        batches(image_set.subset([]))
    with pytest.raises(ValueError, match="batch_size must be 1 or more, found 0"):
        batches(image_set, batch_size=0)
    with pytest.raises(ValueError, match="each of the 3 channels, found 1 and 3"):
        batches(image_set, mean=(0.0,))
    with pytest.raises(ValueError, match="std must be above 0"):
        in_order(image_set, scale(std=(1.0, 0.0, 1.0)), batch_size=8)
    with pytest.raises(ValueError, match="pad 7 is too large for images of 9x7"):
        batches(image_set, augment=Augment(pad=7))


@pytest.mark.gpu
def test_a_device_gets_the_same_batches_as_the_processor(image_set):
    here, labels = joined(batches(image_set).epoch(4))
    there, labels_there = joined(batches(image_set, device="cuda").epoch(4))
    assert torch.equal(labels_there.cpu(), labels)
    torch.testing.assert_close(there.cpu(), here)


def test_a_long_epoch_goes_through_the_set_again_and_again_in_other_orders():
    made = batches(numbered(10), **PLAIN, batch_size=4, epoch_images=25)
    shown = numbers_in(made.epoch(1))
    assert made.steps_per_epoch == 6 and len(shown) == 24
    first, second = shown[:10], shown[10:20]
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    assert len(set(shown[20:])) == 4
    assert torch.cat([made.chosen(1, step) for step in range(6)]).tolist() == shown
    assert numbers_in(made.epoch(2)) != shown


def test_a_long_epoch_makes_whole_batches_of_fewer_images_than_a_batch():
    made = batches(numbered(5), **PLAIN, batch_size=12, epoch_images=40)
    assert [len(labels) for _, labels in made.epoch(1)] == [12, 12, 12]
    assert Counter(numbers_in(made.epoch(1))[:35]) == dict.fromkeys(range(5), 7)


def test_a_short_epoch_shows_a_part_of_the_set_in_every_epoch_another():
    made = batches(numbered(40), **PLAIN, epoch_images=16)
    first, second = (set(numbers_in(made.epoch(number))) for number in (1, 2))
    assert len(first) == len(second) == 16 and first != second


@pytest.mark.parametrize("views", [0, 2])
def test_a_long_epoch_entered_in_the_middle_is_the_tail_of_the_whole(image_set, views):
    made = batches(image_set, epoch_images=150, views=views)
    images, labels = joined(made.epoch(3))
    tail_images, tail_labels = joined(batches(image_set, epoch_images=150, views=views).epoch(3, first_step=11))
    assert torch.equal(tail_images, images[88:]) and torch.equal(tail_labels, labels[88:])


def test_a_long_epoch_augments_an_image_anew_each_time_unless_it_has_views(image_set):
    def looks(**changes):
        """How many different versions of image 0 an epoch shows."""
        made = batches(image_set, epoch_images=600, **changes)
        pairs = [(made.chosen(1, step), images) for step, (images, _) in enumerate(made.epoch(1))]
        return len(
            {
                tuple(images[place].flatten().tolist())
                for chosen, images in pairs
                for place in (chosen == 0).nonzero().flatten()
            }
        )

    assert looks() > 3 and looks(views=2) == 1


def test_epochs_as_long_as_the_set_are_those_without_a_length(image_set):
    plain, said = batches(image_set), batches(image_set, epoch_images=len(image_set.images))
    assert all(
        torch.equal(one, other) for one, other in zip(joined(plain.epoch(2)), joined(said.epoch(2)), strict=True)
    )
