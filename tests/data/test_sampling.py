from functools import partial

import pytest
import torch

from understudy.data import Augment, Batches, Crops, ImageSet
from understudy.data.batches.epochs import Showing
from understudy.data.batches.files import file_batches
from understudy.data.batches.sampling import ByClass
from understudy.data.batches.scale import Scale
from understudy.data.file_source import image_files


def order_by_class(labels, *, batch_size, per_class, num_batches, generator):
    order = ByClass(labels, batch_size=batch_size, per_class=per_class).order(num_batches * batch_size, generator)
    assert len(order.unique()) == len(order) == num_batches * batch_size
    return order % len(labels)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_batch_has_so_many_images_of_each_of_its_classes_and_all_take_turns():
    labels = torch.arange(60) % 6
    order = order_by_class(labels, batch_size=12, per_class=4, num_batches=10, generator=generator())
    for batch in order.split(12):
        assert torch.bincount(labels[batch]).sort().values[-3:].tolist() == [4, 4, 4]
        assert len(batch.unique()) == 12
    # Two batches show all six classes, and 120 draws every image of 60 twice, to within one.
    assert all(len(labels[pair].unique()) == 6 for pair in order.split(24))
    assert set(torch.bincount(order).tolist()) == {2}


def test_a_class_with_too_few_images_repeats_them():
    labels = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2])
    order = order_by_class(labels, batch_size=6, per_class=3, num_batches=3, generator=generator())
    # Three classes in turn at the six places of three batches: each class has two.
    assert torch.bincount(order, minlength=8)[3] == 6
    assert all(torch.bincount(labels[batch]).sort().values[-2:].tolist() == [3, 3] for batch in order.split(6))


def test_fewer_classes_than_a_batch_has_room_for_come_again_with_other_images():
    labels = torch.arange(60) % 3
    order = order_by_class(labels, batch_size=24, per_class=4, num_batches=2, generator=generator())
    for batch in order.split(24):
        assert torch.bincount(labels[batch]).tolist() == [8, 8, 8] and len(batch.unique()) == 24


@pytest.mark.parametrize(("batch_size", "per_class"), [(10, 4), (4, 4)])
def test_batches_that_cannot_be_made_are_explained(batch_size, per_class):
    with pytest.raises(
        ValueError, match=rf"batch of {batch_size} cannot hold 4 images of each .* a multiple of 4, 8 or more"
    ):
        order_by_class(
            torch.arange(60) % 6, batch_size=batch_size, per_class=per_class, num_batches=1, generator=generator()
        )


@pytest.fixture(params=["memory", "files"])
def make_batches(request, tmp_path, write_image):
    """A function from a seed to training batches of 24 images of three classes, whichever way they are read."""
    labels = [place % 3 for place in range(24)]
    if request.param == "memory":
        images = torch.arange(24, dtype=torch.uint8)[:, None, None, None].expand(24, 3, 8, 8).contiguous()
        image_set = ImageSet(images=images, labels=torch.tensor(labels), class_names=("a", "b", "c"))
        kind = partial(Batches, augment=Augment(pad=2))
    else:
        for place in range(24):
            write_image(tmp_path / f"{place}.png", (place, place, place))
        image_set = image_files(tmp_path, [f"{place}.png" for place in range(24)], labels, ["a", "b", "c"])
        kind = partial(file_batches, crops=Crops(size=8), augment=True)

    def make(seed=0):
        showing = Showing(batch_size=8, seed=seed, images_per_class=4)
        return kind(image_set, showing, Scale(mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu"))

    return make


def test_an_epoch_by_class_is_a_function_of_seed_and_number_and_can_be_entered_anywhere(make_batches):
    batches, others = make_batches(), make_batches()
    whole = [*batches.epoch(2)]
    assert len(whole) == batches.steps_per_epoch == 3
    for _, labels in whole:
        assert sorted(torch.bincount(labels, minlength=3).tolist()) == [0, 4, 4]
    [*others.epoch(1)]
    rest = [*others.epoch(2, first_step=2)]
    assert torch.equal(rest[0][0], whole[2][0]) and torch.equal(rest[0][1], whole[2][1])
    assert torch.equal(others.chosen(2, 1), batches.chosen(2, 1))
    assert not torch.equal(others.chosen(3, 1), batches.chosen(2, 1))
    assert not torch.equal(make_batches(seed=1).chosen(2, 1), batches.chosen(2, 1))
