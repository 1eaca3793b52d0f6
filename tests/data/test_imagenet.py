import hashlib
import io
import tarfile

import numpy as np
import pytest
from scipy.io import savemat
from torchvision.datasets import imagenet as torchvision_imagenet

from understudy.data.named.imagenet import DEVKIT, imagenet
from understudy.data.named.imagenet import _words_of_torchvision as words_of_torchvision

NUMBERS = ("n01", "n02", "n03")


@pytest.fixture
def folder(tmp_path, write_image):
    """Two images of every class to train on, and one in a folder of its class to test on."""
    for number in NUMBERS:
        for image in range(2):
            write_image(tmp_path / "imagenet" / "train" / number / f"{number}_{image}.JPEG")
        write_image(tmp_path / "imagenet" / "val" / number / f"{number}.JPEG")
    return tmp_path


@pytest.fixture
def flat_folder(folder, write_image):
    """The same with four images of val side by side."""
    val = folder / "imagenet" / "val"
    for number in NUMBERS:
        (val / number / f"{number}.JPEG").unlink()
        (val / number).rmdir()
    for image in range(1, 5):
        write_image(val / f"ILSVRC2012_val_{image:08d}.JPEG", (image, 0, 0))
    return folder


@pytest.fixture
def devkit(monkeypatch):
    """A function that writes an archive in the layout of the official one into a folder, with labels 3, 1, 2, 1."""

    def write(root, answers=(3, 1, 2, 1)):
        kinds = [("ILSVRC2012_ID", int), ("WNID", object), ("words", object), ("gloss", object), ("num_children", int)]
        # Numbered in another order than sorted, and with a group of classes at the end, as in the official file.
        synsets = np.array(
            [(1, "n02", "crane", "", 0), (2, "n01", "tench, Tinca tinca", "", 0), (3, "n03", "crane", "", 0)]
            + [(4, "n99", "animal", "", 3)],
            dtype=kinds,
        )
        meta = io.BytesIO()
        savemat(meta, {"synsets": synsets})
        truth = "".join(f"{answer}\n" for answer in answers).encode()
        with tarfile.open(root / DEVKIT, "w:gz") as archive:
            for name, contents in (("meta.mat", meta.getvalue()), ("ILSVRC2012_validation_ground_truth.txt", truth)):
                info = tarfile.TarInfo(f"ILSVRC2012_devkit_t12/data/{name}")
                info.size = len(contents)
                archive.addfile(info, io.BytesIO(contents))
        md5 = hashlib.md5((root / DEVKIT).read_bytes()).hexdigest()
        monkeypatch.setitem(torchvision_imagenet.ARCHIVE_META, "devkit", (DEVKIT, md5))

    return write


def test_folders_of_classes_are_read_and_named_by_their_numbers(folder):
    parts = imagenet(folder)
    assert parts.train.class_names == parts.test.class_names == NUMBERS
    assert parts.train.labels.tolist() == [0, 0, 1, 1, 2, 2] and parts.test.labels.tolist() == [0, 1, 2]
    assert parts.train.name(2) == "train/n02/n02_0.JPEG"


def test_the_devkit_names_the_classes_and_leaves_nothing_behind(folder, devkit):
    devkit(folder / "imagenet")
    before = sorted((folder / "imagenet").iterdir())
    assert imagenet(folder).train.class_names == ("tench", "crane (n02)", "crane (n03)")
    assert sorted((folder / "imagenet").iterdir()) == before


def test_images_side_by_side_are_labelled_by_the_devkit(flat_folder, devkit):
    devkit(flat_folder / "imagenet")
    test = imagenet(flat_folder).test
    assert test.labels.tolist() == [2, 1, 0, 1]
    assert [test.read(index).getpixel((0, 0))[0] for index in range(4)] == [1, 2, 3, 4]


def test_what_torchvision_left_of_the_devkit_will_do(flat_folder, devkit):
    root = flat_folder / "imagenet"
    devkit(root)
    torchvision_imagenet.parse_devkit_archive(root)
    (root / DEVKIT).unlink()
    assert imagenet(flat_folder).test.labels.tolist() == [2, 1, 0, 1]


def test_images_side_by_side_without_the_devkit_say_what_is_missing(flat_folder):
    with pytest.raises(ValueError, match=rf"val lie side by side, .* in {DEVKIT}: put it into .*/imagenet, or every"):
        imagenet(flat_folder)


def test_a_devkit_of_other_images_and_a_damaged_one_are_refused(flat_folder, devkit):
    root = flat_folder / "imagenet"
    devkit(root, answers=(1, 2, 3))
    with pytest.raises(ValueError, match=rf"val has 4 images, {DEVKIT} the labels of 3"):
        imagenet(flat_folder)
    (root / DEVKIT).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=rf"{DEVKIT} is not the official file or not whole; fetch it again"):
        imagenet(flat_folder)


def test_classes_that_differ_or_are_absent_are_named(folder, flat_folder, devkit):
    root = flat_folder / "imagenet"
    devkit(root)
    for path in (root / "train" / "n03").iterdir():
        path.unlink()
    (root / "train" / "n03").rmdir()
    with pytest.raises(ValueError, match=r"1 classes that .* gives to val are not in .*train: n03"):
        imagenet(flat_folder)
    (root / "train").rename(root / "training")
    with pytest.raises(ValueError, match=r"imagenet has no train; expected there train, val, as in ILSVRC2012_img_tr"):
        imagenet(folder)


def test_the_thousand_classes_are_named_by_torchvision_and_no_others():
    between = [f"n{number}" for number in range(10_000_000, 10_000_998)]
    numbers = ("n01440764", *between, "n15075141")
    words = words_of_torchvision(numbers)
    assert (words["n01440764"], words["n15075141"], len(words)) == ("tench", "toilet tissue", 1000)
    assert words_of_torchvision(numbers[:-1]) == {}
