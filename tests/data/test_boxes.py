"""Images with boxes: from VOC's official layout, from Parquet files, fitted, flipped, and in batches."""

import numpy as np
import pytest
import torch
from PIL import Image

from understudy.data import BoxedImages, Objects, batches_in_order, load, training_batches
from understudy.data.boxed_images import objects_of
from understudy.data.fit import Fit

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>"""


def write_voc(folder, year, lists):
    """A folder VOCdevkit/VOC<year> with 60x40 images; `lists` has the objects of each image by list and name."""
    root = folder / "VOCdevkit" / f"VOC{year}"
    for place in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / place).mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(int(year))
    for image_set, images in lists.items():
        (root / "ImageSets/Main" / f"{image_set}.txt").write_text("".join(f"{name}\n" for name in images))
        for name, objects in images.items():
            Image.fromarray(drawn.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(root / f"JPEGImages/{name}.jpg")
            told = "".join(OBJECT.format(name=what, difficult=int(hard), box=box) for what, hard, box in objects)
            (root / f"Annotations/{name}.xml").write_text(f"<annotation><folder>VOC{year}</folder>{told}</annotation>")


WHOLE = [1, 1, 60, 40]


@pytest.fixture
def voc_folder(tmp_path):
    train = {f"0000{n}": [("dog", False, [n, 2, n + 20, 30]), ("cat", n == 1, WHOLE)] for n in range(1, 6)}
    write_voc(tmp_path, "2007", {"trainval": train, "test": {"000009": [("person", True, [3, 4, 13, 24])]}})
    write_voc(tmp_path, "2012", {"trainval": {"2012_1": [], "2012_2": [("sofa", False, [1.5, 1, 20, 20])]}})
    return tmp_path


def test_the_official_layout_is_read_with_pixels_counted_from_one(voc_folder):
    data = load("voc2007", folder=voc_folder)
    assert isinstance(data.train, BoxedImages)
    assert (len(data.train), len(data.test), data.num_classes, data.image_shape) == (5, 1, 20, (3, 800, 800))
    first, names = data.train.objects[0], data.train.class_names
    # The last pixel counts: the whole of 60 x 40 pixels goes from 0 to 60 and from 0 to 40.
    assert first.boxes.tolist() == [[0.0, 1.0, 21.0, 30.0], [0.0, 0.0, 60.0, 40.0]]
    assert [names[label] for label in first.labels] == ["dog", "cat"]
    assert first.difficult.tolist() == [False, True] and data.test.objects[0].difficult.tolist() == [True]


def test_the_union_of_two_years_is_tested_on_the_first(voc_folder):
    data = load("voc0712", folder=voc_folder)
    assert len(data.train) == 7 and len(data.test) == 1
    assert len(data.train.objects[5]) == 0 and data.train.objects[6].boxes[0, 0] == 0.5
    assert data.train.name(6) == "VOCdevkit/VOC2012/JPEGImages/2012_2.jpg"


def test_an_absent_or_broken_layout_is_an_error_that_names_the_place(voc_folder, tmp_path):
    with pytest.raises(ValueError, match="VOCdevkit/VOC2007/ImageSets/Main/trainval.txt.*UNDERSTUDY_DATA"):
        load("voc2007", folder=tmp_path / "elsewhere")
    path = voc_folder / "VOCdevkit/VOC2007/Annotations/00003.xml"
    path.write_text("<annotation>" + OBJECT.format(name="unicorn", difficult=0, box=WHOLE) + "</annotation>")
    with pytest.raises(ValueError, match="00003.xml shows objects called unicorn, expected aeroplane, "):
        load("voc2007", folder=voc_folder)


def test_parts_of_classes_are_refused_and_parts_of_images_taken(voc_folder):
    with pytest.raises(ValueError, match=r"data\.percent takes"):
        load("voc2007", folder=voc_folder, per_class=1)
    data = load("voc2007", folder=voc_folder, percent=50, validation=0.2)
    assert data.validation is not None and (len(data.train), len(data.validation)) == (2, 1)
    shown = {data.train.name(0), data.train.name(1), data.validation.name(0)}
    assert len(shown) == 3
    assert load("voc2007", folder=voc_folder, percent=50, validation=0.2).fingerprint() == data.fingerprint()


@pytest.mark.parametrize("share", [0.04, 0.97])
def test_a_share_that_leaves_nothing_to_measure_or_to_train_on_is_refused(voc_folder, share):
    with pytest.raises(ValueError, match=r"of 5 images leaves \d to measure on and \d to train on"):
        load("voc2007", folder=voc_folder, validation=share)


def test_a_size_that_detectors_do_not_take_is_answered_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"data\.size=200: .*multiples of 32; nearest: 192"):
        Fit(size=200)


def marked(width, height, box):
    """A black image that is white in the box, and the box."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    return Image.fromarray(pixels), objects_of([box], [0], [False])


def white_in(pixels):
    """The box around what is white."""
    rows, columns = (pixels[0] > 127).nonzero(as_tuple=True)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def test_boxes_move_with_the_pixels_when_images_are_resized_and_flipped():
    image, objects = marked(64, 32, [8, 4, 24, 20])
    fit = Fit(size=128)
    seen = set()
    for seed in range(8):
        pixels, boxes = fit.random(image, objects, seed)
        assert tuple(pixels.shape) == (3, 64, 128)
        assert boxes[0].tolist() == white_in(pixels)
        seen.add(tuple(boxes[0].tolist()))
    assert seen == {(16.0, 8.0, 48.0, 40.0), (80.0, 8.0, 112.0, 40.0)}
    assert fit.plain(image, objects)[1][0].tolist() == [16.0, 8.0, 48.0, 40.0]


class Made:
    """A source of made-up images, as files are one."""

    def read(self, row):
        return Image.fromarray(np.full((30 + row, 60, 3), 40 * row + 20, dtype=np.uint8))

    def name(self, row):
        return f"made {row}"


@pytest.fixture
def made(voc_folder):
    """A data set whose images are plain: grey of a known value, of several sizes."""
    from dataclasses import replace

    data = load("voc2007", folder=voc_folder)
    objects = tuple(objects_of([[1, 1, 11, 21], [5, 5, 9, 9]], [n, 0], [False, True]) for n in range(5))
    images = BoxedImages(source=Made(), rows=torch.arange(5), objects=objects, class_names=data.train.class_names)
    return replace(data, train=images, test=images, augment=Fit(size=64))


def batches_of(data, **options):
    return training_batches(data, batch_size=2, seed=3, device="cpu", **options)


def equal(one, other):
    (images, targets), (others, wanted) = one, other
    pairs = zip(targets, wanted, strict=True)
    return torch.equal(images, others) and all(torch.equal(a[key], b[key]) for a, b in pairs for key in a)


def test_a_batch_is_a_square_with_the_images_in_its_corner_and_zeros_elsewhere(made):
    (images, targets) = next(iter(batches_in_order(made.test, made, batch_size=2, device="cpu")))
    assert tuple(images.shape) == (2, 3, 64, 64)
    assert [target["size"].tolist() for target in targets] == [[32, 64], [33, 64]]
    value = (20 - made.mean[0]) / made.std[0]
    torch.testing.assert_close(images[0, 0, :32], torch.full((32, 64), value))
    assert images[0, :, 32:].eq(0).all() and not images[1, :, 32].eq(0).any()
    assert targets[0]["difficult"].tolist() == [False, True]


def test_difficult_objects_are_not_trained_on(made):
    _, targets = batches_of(made).batch(1, 0)
    assert [len(target["labels"]) for target in targets] == [1, 1]


def test_what_is_shown_depends_on_seed_epoch_and_image_alone(made):
    batches, again = batches_of(made), batches_of(made)
    whole = [*batches.epoch(2)]
    assert equal(whole[1], again.batch(2, 1)) and equal(whole[1], next(iter(again.epoch(2, first_step=1))))
    flips = {tuple(target["boxes"][0].tolist()) for e in range(1, 9) for _, ts in batches.epoch(e) for target in ts}
    assert len({box[0] for box in flips}) == 2
    plain = batches_of(made, augment=False)
    assert plain.view(5) == 0 and all(t["boxes"][0, 0] < 10 for e in (1, 2) for _, ts in plain.epoch(e) for t in ts)


@pytest.mark.slow  # it starts processes
def test_worker_processes_change_no_bit(made):
    from dataclasses import replace

    here = [*batches_of(made).epoch(1)]
    with_workers = batches_of(replace(made, workers=2))
    there = [*with_workers.epoch(1)]
    with_workers.close()
    assert all(equal(one, other) for one, other in zip(here, there, strict=True))


def test_views_come_again(made):
    batches = batches_of(made, views=2)
    shown = {}
    for epoch in (1, 3):
        for step, (images, _) in enumerate(batches.epoch(epoch)):
            for image, index in zip(images, batches.chosen(epoch, step).tolist(), strict=True):
                assert index not in shown or torch.equal(shown[index], image)
                shown[index] = image
    in_order = torch.cat([*batches.in_view(0)])[:5]
    assert all(torch.equal(in_order[index], image) for index, image in shown.items())


def test_an_image_that_cannot_be_read_is_named(voc_folder):
    (voc_folder / "VOCdevkit/VOC2007/JPEGImages/00001.jpg").write_bytes(b"no image")
    data = load("voc2007", folder=voc_folder)
    with pytest.raises(ValueError, match="00001.jpg is broken"):
        [*batches_in_order(data.train, data, batch_size=2, device="cpu")]


def test_boxes_without_an_extent_and_labels_outside_the_classes_are_errors():
    def images(objects: Objects):
        return BoxedImages(source=Made(), rows=torch.arange(1), objects=(objects,), class_names=("a",))

    with pytest.raises(ValueError, match=r"made 0 has the box \[5.0, 5.0, 5.0, 9.0\]"):
        images(objects_of([[5, 5, 5, 9]], [0], [False]))
    with pytest.raises(ValueError, match=r"made 0 has the box \[5.0, 5.0, nan, 9.0\]"):
        images(objects_of([[5, 5, float("nan"), 9]], [0], [False]))
    with pytest.raises(ValueError, match=r"made 0 has label 1, expected 0\.\.0"):
        images(objects_of([[5, 5, 6, 9]], [1], [False]))


def test_the_mini_set_is_read_with_its_boxes(data_folder):
    data = load("voc07mini", folder=data_folder("voc07mini"))
    assert isinstance(data.train, BoxedImages) and isinstance(data.test, BoxedImages)
    assert (len(data.train), len(data.test)) == (542, 239)
    assert (data.train.num_objects, data.test.num_objects, data.num_classes) == (1761, 786, 20)
    for index in range(0, 542, 60):
        width, height = data.train.read(index).size
        corners = data.train.objects[index].boxes
        assert corners.min() >= 0 and corners[:, 2].max() <= width and corners[:, 3].max() <= height


def test_an_epoch_of_more_images_shows_them_again_and_draws_anew(made):
    batches = batches_of(made, epoch_images=20)
    assert batches.steps_per_epoch == 10
    shown = torch.cat([batches.chosen(1, step) for step in range(10)])
    assert torch.bincount(shown).tolist() == [4] * 5
    assert len([*batches.epoch(1)]) == 10


def test_what_hangs_over_the_edge_is_cut_off_and_what_lies_outside_told():
    def images(box):
        objects = objects_of([box], [0], [False])
        return BoxedImages(source=Made(), rows=torch.arange(1), objects=(objects,), class_names=("a",))

    objects = images([-4, 10, 70, 31]).objects[0]
    assert objects.misfit(60, 30) == "" and objects.clipped(60, 30).boxes.tolist() == [[0.0, 10.0, 60.0, 30.0]]
    for box in ([60, 0, 70, 9], [0, 30, 9, 40], [-9, 0, 0, 9], [0, -9, 9, 0]):
        with pytest.raises(ValueError, match=r"made 0 has 60x30 pixels, and the box \[.*\] lies outside"):
            images(box).read(0)
