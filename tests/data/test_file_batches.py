"""Batches of files: what is shown depends on seed, epoch and image, and on nothing else."""

import multiprocessing
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace

import pytest
import torch
from PIL import Image

from understudy import processes
from understudy.data import Crops, ImageFiles
from understudy.data.batches import decoding
from understudy.data.batches.decoded import DecodedBatches
from understudy.data.batches.epochs import Showing
from understudy.data.batches.files import file_batches, files_in_order
from understudy.data.batches.scale import Scale
from understudy.spec import RunFailedError

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 70.0, 80.0)
CROPS = Crops(size=8)
SCALE = Scale(mean=MEAN, std=STD, device="cpu")
OF_SCALE = ("mean", "std", "device", "channels_last")
# More processes than this machine has cores are a warning of torch's.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@dataclass(frozen=True)
class Noise:
    """Random pictures of many sizes, each decided by its row; `broken` ones cannot be read."""

    broken: frozenset[int] = field(default_factory=frozenset)

    def read(self, row: int) -> Image.Image:
        if row in self.broken:
            raise ValueError(f"{self.name(row)} is broken")
        generator = torch.Generator().manual_seed(row)
        height, width = 12 + row % 5, 14 + row % 3
        return Image.fromarray(torch.randint(256, (height, width, 3), dtype=torch.uint8, generator=generator).numpy())

    def name(self, row: int) -> str:
        return f"noise/{row}.png"


def noise(num_images=30, broken=()) -> ImageFiles:
    rows = torch.arange(num_images) + 100
    source = Noise(frozenset(broken))
    return ImageFiles(source=source, rows=rows, labels=torch.arange(num_images) % 3, class_names=("a", "b", "c"))


def batches(files=None, *, crops=CROPS, augment=True, workers=0, **changes) -> DecodedBatches:
    scale = replace(SCALE, **{key: changes.pop(key) for key in OF_SCALE if key in changes})
    showing = Showing(**({"batch_size": 4, "seed": 7} | changes))
    return file_batches(noise() if files is None else files, showing, scale, crops, augment=augment, workers=workers)


def joined(epoch):
    images, labels = zip(*epoch, strict=True)
    return torch.cat(images), torch.cat(labels)


def by_image(made: DecodedBatches, number: int) -> dict[int, torch.Tensor]:
    """Index of an image -> what an epoch shows of it."""
    shown = {}
    for step, (images, _) in enumerate(made.epoch(number)):
        shown |= dict(zip(made.chosen(number, step).tolist(), images, strict=True))
    return shown


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_neither_workers_nor_where_an_epoch_is_entered_change_a_bit(workers):
    images, labels = joined(batches().epoch(2))
    made = batches(workers=workers)
    for first_step in (0, 3, 6):
        tail_images, tail_labels = joined(made.epoch(2, first_step))
        assert torch.equal(tail_images, images[first_step * 4 :])
        assert torch.equal(tail_labels, labels[first_step * 4 :])
    assert list(made.epoch(2, 7)) == []
    with pytest.raises(ValueError, match="7 steps of 4 images, so it cannot go on at step 8"):
        made.epoch(2, 8)
    made.close()


def test_an_image_is_shown_as_seed_epoch_and_image_say_whatever_comes_before_it():
    one, other = by_image(batches(batch_size=4), 3), by_image(batches(batch_size=7), 3)
    both = one.keys() & other.keys()
    assert len(both) > 20 and all(torch.equal(one[index], other[index]) for index in both)
    for another in (by_image(batches(), 4), by_image(batches(seed=8), 3)):
        assert sum(torch.equal(one[index], another[index]) for index in one.keys() & another.keys()) == 0


def test_every_image_of_an_epoch_has_a_crop_of_its_own():
    copies = noise().subset([0] * 30)
    images, _ = joined(batches(copies).epoch(1))
    assert len(images.flatten(1).unique(dim=0)) == 28


def test_an_epoch_is_cut_off_and_another_begun_with_the_same_processes():
    made, plain = batches(workers=2), batches()
    cut = made.epoch(1)
    next(cut)
    processes = set(multiprocessing.active_children())
    assert torch.equal(joined(made.epoch(2))[0], joined(plain.epoch(2))[0])
    assert torch.equal(joined(made.epoch(1))[0], joined(plain.epoch(1))[0])
    assert len(processes) == 2 and set(multiprocessing.active_children()) == processes
    with pytest.raises(RuntimeError, match="another epoch was begun since"):
        next(cut)
    made.close()
    assert not multiprocessing.active_children()
    # A closed one starts again.
    assert torch.equal(joined(made.epoch(1))[0], joined(plain.epoch(1))[0])
    made.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_by_itself_is_the_epochs_and_leaves_it_alone(workers):
    expected = [*batches().epoch(1)]
    made = batches(workers=workers)
    epoch = made.epoch(1)
    found = [next(epoch)]
    for image, wanted in zip(made.batch(1, 3), expected[3], strict=True):
        assert torch.equal(image, wanted)
    found += [*epoch]
    assert torch.equal(joined(found)[0], joined(expected)[0])
    made.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_generator_is_left_alone(workers):
    before = torch.get_rng_state()
    made = batches(workers=workers)
    list(made.epoch(1))
    made.close()
    assert torch.equal(torch.get_rng_state(), before)


def test_labels_stay_with_their_images_and_without_augmentation_the_middle_is_shown():
    files = noise()
    made = batches(files, augment=False)
    images, labels = joined(files_in_order(files, SCALE, CROPS, batch_size=7))
    assert torch.equal(labels, files.labels) and len(images) == 30
    for step, (shown, own) in enumerate(made.epoch(5)):
        chosen = made.chosen(5, step)
        assert torch.equal(shown, images[chosen]) and torch.equal(own, files.labels[chosen])
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    for index in (0, 17):
        assert torch.equal(images[index], (CROPS.middle(files.read(index)).float() - mean) / std)


def test_in_order_with_processes_is_the_same_and_leaves_none_behind():
    plain = [*files_in_order(noise(), SCALE, CROPS, batch_size=7)]
    found = [*files_in_order(noise(), SCALE, CROPS, batch_size=7, workers=2)]
    assert [len(labels) for _, labels in found] == [7, 7, 7, 7, 2]
    assert torch.equal(joined(found)[0], joined(plain)[0])
    cut = files_in_order(noise(), SCALE, CROPS, batch_size=7, workers=2)
    next(cut)
    del cut
    assert not multiprocessing.active_children()


def test_with_views_an_image_looks_the_same_every_so_many_epochs_while_the_order_changes():
    made = batches(views=2)
    assert [made.view(number) for number in (1, 2, 3)] == [0, 1, 0]
    first, second, third = (by_image(made, number) for number in (1, 2, 3))
    assert all(torch.equal(first[index], third[index]) for index in first.keys() & third.keys())
    assert not any(torch.equal(first[index], second[index]) for index in first.keys() & second.keys())
    assert not torch.equal(made.chosen(1, 0), made.chosen(3, 0))
    rows = list(made.in_view(1))
    assert [len(images) for images in rows] == [4] * 8
    rows = torch.cat(rows)
    assert torch.equal(rows[30:], rows[:2]) and all(torch.equal(rows[index], second[index]) for index in second)


def test_epochs_whose_views_never_come_again_are_those_of_more_views_than_epochs():
    own, many = batches(), batches(views=4)
    assert [own.view(number) for number in (1, 2, 5)] == [0, 1, 4]
    assert all(torch.equal(joined(own.epoch(number))[0], joined(many.epoch(number))[0]) for number in range(1, 5))
    assert torch.equal(torch.cat(list(own.in_view(2))), torch.cat(list(many.in_view(2))))


def test_images_that_are_not_augmented_have_one_view_and_those_an_epoch_shows_again_none():
    again = batches(noise(5), epoch_images=24)
    assert batches(augment=False).view(9) == 0 and again.view(1) is None
    for made, view, why in (
        (again, 0, "draws an image anew each time"),
        (batches(), -1, "one for each epoch"),
        (batches(views=2), 2, "the images have 2"),
        (batches(augment=False), 1, "the images have 1"),
    ):
        with pytest.raises(ValueError, match=f"no view {view}: .*{why}"):
            made.in_view(view)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_one_message_that_names_it(workers):
    made = batches(noise(broken=[111]), workers=workers)
    with pytest.raises(ValueError) as caught:
        list(made.epoch(1)) + list(made.epoch(2))
    assert str(caught.value) == "noise/111.png is broken"
    made.close()


@pytest.mark.parametrize(("room", "left"), [(3 + 2 * 2, 2), (3 + 2, 1), (4, 0)])
def test_no_more_processes_than_shared_memory_has_room_for(monkeypatch, tmp_path, room, left):
    """Room for so many batches; a process without it would wait for ever."""
    usage = shutil.disk_usage(tmp_path)._replace(free=room * 4 * 3 * 8 * 8)
    monkeypatch.setattr(decoding, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: usage)
    made = batches(workers=3)
    with pytest.warns(UserWarning, match=f"{left} of 3 worker processes .* --shm-size"):
        images, _ = joined(made.epoch(1))
    assert len(multiprocessing.active_children()) == left
    made.close()
    assert torch.equal(images, joined(batches().epoch(1))[0])


def test_processes_with_runs_of_their_own_share_cores_and_shared_memory(monkeypatch):
    monkeypatch.setattr(decoding, "usable_cores", lambda: 8)
    monkeypatch.setattr(processes, "_neighbours", 1)
    assert decoding.default_workers() == 7
    processes.share_machine(4)
    assert (processes.sharing_here(), decoding.default_workers()) == (4, 1)


def test_a_process_that_is_ended_from_outside_ends_the_run_with_what_to_do():
    made = batches(noise(400), workers=2)
    epoch = made.epoch(1)
    next(epoch)
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    with pytest.raises(RunFailedError, match=r"a process that decodes images was ended.*data.workers=0"):
        list(epoch)
    made.close()


def test_what_cannot_be_batched_is_refused():
    with pytest.raises(ValueError, match="no images"):
        batches(noise().subset([]))
    with pytest.raises(ValueError, match="each of the 3 channels, found 1 and 3"):
        batches(mean=(0.0,))
    with pytest.raises(ValueError, match="views must be 0"):
        batches(views=-1)


def test_the_layout_is_as_asked_for():
    plain, _ = joined(batches().epoch(0))
    turned = next(batches(channels_last=True).epoch(0))[0]
    assert turned.is_contiguous(memory_format=torch.channels_last) and torch.equal(turned, plain[:4])


@pytest.mark.gpu
def test_a_device_gets_the_same_batches_as_the_processor():
    here, labels = joined(batches().epoch(4))
    made = batches(device="cuda", workers=2)
    there, labels_there = joined(made.epoch(4))
    made.close()
    assert torch.equal(labels_there.cpu(), labels)
    torch.testing.assert_close(there.cpu(), here)


def test_a_long_epoch_crops_an_image_anew_each_time_and_enters_anywhere():
    made = batches(noise(5), epoch_images=24)
    whole = list(made.epoch(1))
    assert made.steps_per_epoch == len(whole) == 6
    shown = {}
    for step, (images, labels) in enumerate(whole):
        chosen = made.chosen(1, step)
        assert torch.equal(labels, noise(5).labels[chosen])
        for index, image in zip(chosen.tolist(), images, strict=True):
            shown.setdefault(index, set()).add(tuple(image.flatten().tolist()))
    assert all(len(versions) > 1 for versions in shown.values())
    assert torch.equal(made.batch(1, 4)[0], whole[4][0])
    assert torch.equal(joined(made.epoch(1, 3))[0], joined(whole[3:])[0])


def test_a_long_epoch_shows_a_view_again_and_again():
    made = batches(noise(5), epoch_images=24, views=2)
    pairs = [(made.chosen(3, step), images) for step, (images, _) in enumerate(made.epoch(3))]
    looks = {
        tuple(images[place].flatten().tolist())
        for chosen, images in pairs
        for place in (chosen == 0).nonzero().flatten()
    }
    assert len(looks) == 1


@pytest.mark.slow  # it starts processes
def test_a_program_that_fails_between_two_batches_ends(tmp_path):
    for index in range(4):
        path = tmp_path / f"photos/class{index % 2}/{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (index, 0, 0)).save(path)
    program = (
        "from understudy.data import Loading, load, training_batches\n"
        "data = load('folder:photos', loading=Loading(how='workers', size=16, workers=1))\n"
        "epoch = training_batches(data, batch_size=1, seed=0, device='cpu').epoch(1)\n"
        "next(epoch)\n"
        "raise RuntimeError('of the program')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and "of the program" in done.stderr
