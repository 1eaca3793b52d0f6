"""The doctor on images and labels: diseases are made, and found; healthy ones have no finding."""

import itertools
from dataclasses import dataclass, replace

import pytest
import torch
from PIL import Image

from tests.engine.pictures import pictures
from understudy.data import Augment, Dataset, ImageFiles, ImageSet, load
from understudy.engine.doctor import examine, problems
from understudy.engine.doctor.duplicates import conflicts, leaks
from understudy.engine.doctor.labels import labels
from understudy.engine.doctor.pictures import blank, unreadable
from understudy.engine.doctor.sample import drawn, sample
from understudy.engine.doctor.scan import scan
from understudy.engine.plan import make_plan
from understudy.models import build
from understudy.spec import read_settings

NAMES = ("ant", "bee", "cat")


@pytest.fixture
def make(generator):
    """A function from labels to an image set of noise."""

    def images(values):
        pixels = torch.randint(256, (len(values), 3, 4, 5), generator=generator, dtype=torch.uint8)
        return ImageSet(images=pixels, labels=torch.tensor(values), class_names=NAMES)

    return images


def dataset(train, test):
    return Dataset(name="a", train=train, test=test, mean=(0.0,) * 3, std=(1.0,) * 3, augment=Augment(pad=1, flip=True))


@dataclass(frozen=True)
class Pictures:
    """A source of given images; None cannot be read."""

    images: list

    def read(self, row):
        if self.images[row] is None:
            raise ValueError(f"{self.name(row)} is broken")
        return self.images[row]

    def name(self, row):
        return f"pictures/{row}.png"


def files(images, values=None):
    rows = torch.arange(len(images))
    values = torch.zeros_like(rows) if values is None else torch.tensor(values)
    return ImageFiles(source=Pictures(images), rows=rows, labels=values, class_names=NAMES)


def test_healthy_images_and_labels_have_no_finding(make):
    data = dataset(make([0, 1, 2] * 4), make([0, 1, 2]))
    train, test = scan(data.train), scan(data.test)
    parts = {"training": train, "test": test}
    found = labels(data) + unreadable(parts) + blank(parts) + leaks(train, test) + conflicts(train, NAMES)
    assert problems(found) == []
    assert any("each with 4 training images" in one.found for one in found)


def test_labels_outside_the_classes_are_an_error_that_names_them(make):
    data = dataset(make([0, 1, 2]), make([0, 1, 2]))
    # As a program may do it after the set was made, and checked.
    data.train.labels[1] = 7
    (finding,) = labels(data)
    assert finding.severity == "error" and "outside 0..2: 7 at image 1" in finding.found


def test_classes_without_images_are_told_for_each_part(make):
    (finding,) = labels(dataset(make([0, 0, 2]), make([0, 1, 1, 2])))
    assert finding.severity == "error" and "bee; 2 test images show them" in finding.found
    (finding,) = labels(dataset(make([0, 1, 2]), make([0, 2])))
    assert finding.severity == "warning" and "1 of 3 classes have no test image: bee" in finding.found
    (finding,) = labels(dataset(make([0, 2]), make([0, 2])))
    assert finding.severity == "warning" and "0 test images" in finding.found


def test_a_class_a_hundred_times_rarer_is_told_and_ninety_times_is_not(make):
    test = make([0, 1, 2])
    (finding,) = labels(dataset(make([0] * 100 + [1] * 50 + [2]), test))
    assert "class ant has 100 training images and class cat 1" in finding.found
    assert problems(labels(dataset(make([0] * 99 + [1] * 50 + [2]), test))) == []


def test_test_images_among_the_training_images_are_counted_and_named(make):
    train, test = make([0] * 100), make([0] * 40)
    test.images[3], test.images[5] = train.images[8], train.images[9]
    (finding,) = leaks(scan(train), scan(test))
    assert finding.severity == "warning" and "2 of the 40 test images" in finding.found
    assert "test 3 = train 8, test 5 = train 9" in finding.found
    test.images[:10] = train.images[:10]
    assert leaks(scan(train), scan(test))[0].severity == "error"
    few = make([0] * 2000)
    few.images[0] = train.images[0]
    assert leaks(scan(train), scan(few))[0].severity == "fine"


def test_one_image_under_two_labels_is_told_and_under_one_is_not(make):
    train = make([0, 1, 2, 2])
    train.images[3] = train.images[2]
    assert problems(conflicts(scan(train), NAMES)) == []
    train.images[2:] = train.images[0]
    (finding,) = conflicts(scan(train), NAMES)
    assert "1 image under" in finding.found and "0 (ant) = 2 (cat) = 3 (cat)" in finding.found


def test_images_of_one_colour_are_told_and_dark_ones_are_not(make):
    images = make([0] * 4)
    images.images[1] = 0
    images.images[2] = torch.tensor([255, 0, 7])[:, None, None]
    images.images[3] = 0
    images.images[3, 0, 0, 0] = 1
    (finding,) = blank({"training": scan(images)})
    assert "2 of the 4 training images" in finding.found and "images 1, 2" in finding.found


def test_of_files_broken_blank_and_equal_ones_are_found_in_one_look():
    red, noise = Image.new("RGB", (5, 4), "red"), Image.effect_noise((5, 4), 90).convert("RGB")
    other = Image.effect_noise((5, 4), 90).convert("RGB")
    train = scan(files([red, noise, None, other, None], [0, 1, 1, 2, 2]))
    parts = {"training": train}
    (broken,) = unreadable(parts)
    assert broken.severity == "error" and "2 images" in broken.found
    assert "pictures/2.png is broken, pictures/4.png is broken" in broken.found
    assert "image 0" in blank(parts)[0].found
    test = scan(files([noise, Image.new("RGB", (4, 5), "red")]))
    assert "1 of the 2 test images" in leaks(train, test)[0].found, "turned, red is another image"


def test_of_many_files_some_are_looked_at_and_the_finding_says_how_many():
    pictures = [Image.effect_noise((3, 3), 90).convert("RGB") for _ in range(20)]
    seen = scan(files(pictures), most_files=6)
    assert len(set(seen.indices)) == 6 and seen.how_many() == "6 of 20"
    assert "6 of 20 test images" in unreadable({"test": seen})[0].found


def test_of_more_files_than_there_is_time_for_some_are_looked_at_drawn_over_all(monkeypatch):
    pictures = [Image.effect_noise((3, 3), 90).convert("RGB") for _ in range(200)]
    clock = itertools.count()
    monkeypatch.setattr("understudy.engine.doctor.scan.time.monotonic", lambda: float(next(clock)))
    seen = scan(files(pictures), seconds=30.0)
    assert len(seen.indices) == 29 and seen.indices == sorted(seen.indices) and seen.indices[-1] > 100
    assert "29 of 200 test images" in unreadable({"test": seen})[0].found
    assert len(scan(files(pictures), seconds=1000.0).indices) == 200


@pytest.mark.parametrize("values", [[0] * 500 + [1] * 500, [0, 1] * 500])
def test_a_sample_has_all_classes_whether_they_follow_or_alternate(make, values):
    assert drawn(10, 100).tolist() == list(range(10)) and drawn(1000, 3).tolist() == drawn(1000, 3).tolist()
    counts = sample(dataset(make([0, 1, 2]), make(values)), 500).labels.bincount()
    assert counts.sum() == 500 and counts.min() > 200


def examined(images):
    options = {"student.model": "digits-1x4", "teacher.model": "digits-1x6", "method.name": "ab+kd", "batch_size": 16}
    torch.manual_seed(0)
    student, teacher = (build(f"digits-1x{width}", num_classes=3, in_channels=3) for width in (4, 6))
    return examine(make_plan(read_settings(options={**options, "epochs": 2}), student, teacher, images))


def test_images_that_are_decoded_when_they_are_asked_for_are_examined_alike():
    found = examined(pictures())
    assert {one.check for one in found} >= {"images", "duplicates", "terms", "memory", "first step"}
    assert problems(found) == []


def test_with_a_picture_that_cannot_be_read_the_examination_ends_with_it():
    found = examined(pictures(broken=7))
    assert [one.check for one in problems(found)] == ["images"] and "drawn/7.png is broken" in problems(found)[0].found
    assert "memory" not in {one.check for one in found}


@pytest.mark.parametrize("part", ["validation", "gallery"])
def test_a_broken_picture_is_found_in_every_part(part):
    found = examined(replace(pictures(), **{part: pictures(broken=7).train}))
    assert [one.check for one in problems(found)] == ["images"] and "drawn/7.png is broken" in problems(found)[0].found


def test_a_sample_of_files_has_the_bytes_that_networks_see():
    images = pictures()
    some = sample(images, 5)
    assert some.images.dtype == torch.uint8 and len(some) == 5
    chosen = drawn(20, 5).tolist()
    assert torch.equal(some.labels, images.test.labels[chosen])
    assert torch.equal(some.images[1], images.augment.middle(images.test.read(chosen[1])))


@pytest.mark.parametrize("validation", [0.0, 0.4])
def test_sets_divided_by_class_have_nothing_wrong_for_it(validation):
    """Fewer classes to train on than others to test on, once some are held out."""
    (finding,) = labels(load("digits-disjoint", validation=validation))
    assert finding.severity == "fine"
    assert finding.found == f"{3 if validation else 5} classes to train on and 5 others to test on"
