"""Tiny copies in the layouts of the official files, so that what torchvision makes of them is what is tested."""

import hashlib
import inspect
import json

import numpy as np
import pytest
from scipy.io import savemat
from torchvision import datasets

from understudy.data.named.torchvision_sets import torchvision_parts
from understudy.data.named.torchvision_table import TORCHVISION


def read(name, folder):
    return torchvision_parts(name, folder=folder, download=False)


def reds(part):
    """The red of every image, by which the fakes tell them apart."""
    return [part.read(index).getpixel((0, 0))[0] for index in range(len(part))]


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_takes_the_arguments_of_every_part(name):
    which = TORCHVISION[name]
    make = getattr(datasets, which.make)
    assert which.train != which.test != which.validation != which.train
    for arguments in (which.train, which.test, which.validation or which.test):
        inspect.signature(make).bind(root="x", download=False, **arguments)
    assert which.meaning and which.place


@pytest.mark.parametrize("name", TORCHVISION)
def test_absent_files_are_one_message_with_the_ways_out(name, tmp_path):
    with pytest.raises(ValueError) as caught:
        read(name, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{name} was not found whole in {tmp_path} (expected {TORCHVISION[name].place}")
    assert "UNDERSTUDY_DATA" in message and ("data.download=true" in message) == TORCHVISION[name].can_be_fetched
    assert list(tmp_path.iterdir()) == []


def test_a_download_is_asked_for_only_where_it_is_wanted_and_possible(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(datasets.Food101, "_download", lambda self: asked.append(self.root))
    for download in (False, True):
        with pytest.raises(ValueError, match="food101 was not found"):
            torchvision_parts("food101", folder=tmp_path, download=download)
    assert asked == [str(tmp_path)]
    with pytest.raises(ValueError, match="stanford_cars was not found whole .* they cannot be fetched"):
        torchvision_parts("stanford_cars", folder=tmp_path, download=True)


def test_flowers102(tmp_path, write_image, monkeypatch):
    root = tmp_path / "flowers-102"
    for number in range(1, 7):
        write_image(root / "jpg" / f"image_{number:05d}.jpg", (number, 0, 0))
    savemat(root / "imagelabels.mat", {"labels": [[77, 1, 102, 5, 6, 7]]})
    savemat(root / "setid.mat", {"trnid": [[2, 1]], "valid": [[3, 4]], "tstid": [[6, 5]]})
    files = datasets.Flowers102._file_dict
    for key, name in (("label", "imagelabels.mat"), ("setid", "setid.mat")):
        monkeypatch.setitem(files, key, (name, md5(root / name)))
    parts = read("flowers102", tmp_path)
    assert [reds(part) for part in (parts.train, parts.validation, parts.test)] == [[2, 1], [3, 4], [6, 5]]
    assert parts.train.labels.tolist() == [0, 76] and len(parts.train.class_names) == 102
    named = hasattr(datasets.Flowers102, "classes")  # older torchvisions name none
    assert parts.train.class_names[0] == ("pink primrose" if named else "0")
    assert parts.train.name(0) == "flowers-102/jpg/image_00002.jpg"
    if named:
        monkeypatch.delattr(datasets.Flowers102, "classes")
        assert read("flowers102", tmp_path).test.class_names == tuple(map(str, range(102)))
    (root / "jpg" / "image_00006.jpg").unlink()
    with pytest.raises(ValueError, match="1 of 2 files that flowers102 test names are not in .*image_00006.jpg"):
        read("flowers102", tmp_path)


def test_fgvc_aircraft_is_trained_on_its_trainval(tmp_path, write_image):
    data = tmp_path / "fgvc-aircraft-2013b" / "data"
    for number in (1, 2, 3):
        write_image(data / "images" / f"{number:07d}.jpg", (number, 0, 0))
    (data / "variants.txt").write_text("707-320\nAn-12\n")
    (data / "images_variant_trainval.txt").write_text("0000003 An-12\n0000001 707-320\n")
    (data / "images_variant_test.txt").write_text("0000002 An-12\n")
    parts = read("fgvc_aircraft", tmp_path)
    assert (reds(parts.train), reds(parts.test), parts.validation) == ([3, 1], [2], None)
    assert parts.train.labels.tolist() == [1, 0] and parts.train.class_names == ("707-320", "An-12")
    (data / "variants.txt").unlink()
    with pytest.raises(ValueError, match="fgvc_aircraft was not found whole .*variants.txt"):
        read("fgvc_aircraft", tmp_path)


def test_stanford_cars(tmp_path, write_image):
    root = tmp_path / "stanford_cars"
    (root / "devkit").mkdir(parents=True)
    kinds = [("fname", object), ("class", int)]
    places = {"cars_train": root / "devkit" / "cars_train_annos.mat"}
    places["cars_test"] = root / "cars_test_annos_withlabels.mat"
    for folder, path in places.items():
        for number in (1, 2):
            write_image(root / folder / f"{number:05d}.jpg", (number, 0, 0))
        savemat(path, {"annotations": np.array([("00002.jpg", 1), ("00001.jpg", 2)], dtype=kinds)})
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": np.array(["Audi", "BMW"], dtype=object)})
    parts = read("stanford_cars", tmp_path)
    assert reds(parts.train) == reds(parts.test) == [2, 1]
    assert parts.test.labels.tolist() == [0, 1] and parts.test.class_names == ("Audi", "BMW")


def test_food101(tmp_path, write_image):
    root = tmp_path / "food-101"
    (root / "meta").mkdir(parents=True)
    for part, number in (("train", 1), ("test", 2)):
        listed = {"waffles": [f"waffles/{number}"], "apple_pie": [f"apple_pie/{number}"]}
        (root / "meta" / f"{part}.json").write_text(json.dumps(listed))
        for place, name in enumerate(listed):
            write_image(root / "images" / name / f"{number}.jpg", (10 * number + place, 0, 0))
    parts = read("food101", tmp_path)
    assert (reds(parts.train), reds(parts.test)) == ([10, 11], [20, 21])
    assert parts.train.labels.tolist() == [1, 0] and parts.train.class_names == ("apple_pie", "waffles")


def test_pets(tmp_path, write_image):
    root = tmp_path / "oxford-iiit-pet"
    (root / "annotations").mkdir(parents=True)
    for part, number in (("trainval", 1), ("test", 2)):
        lines = [f"shiba_inu_{number} 2 2 1", f"Abyssinian_{number} 1 1 1"]
        (root / "annotations" / f"{part}.txt").write_text("\n".join(lines))
        for place, line in enumerate(lines):
            write_image(root / "images" / f"{line.split()[0]}.jpg", (10 * number + place, 0, 0))
    parts = read("pets", tmp_path)
    assert (reds(parts.train), reds(parts.test)) == ([10, 11], [20, 21])
    assert parts.train.labels.tolist() == [1, 0] and parts.train.class_names == ("Abyssinian", "Shiba Inu")


def test_dtd_in_its_first_partition(tmp_path, write_image):
    root = tmp_path / "dtd" / "dtd"
    (root / "labels").mkdir(parents=True)
    for number, part in enumerate(("train", "val", "test"), 1):
        (root / "labels" / f"{part}1.txt").write_text(f"dotted/{part}.jpg\nbanded/{part}.jpg\n")
        write_image(root / "images" / "dotted" / f"{part}.jpg", (number, 0, 0))
        write_image(root / "images" / "banded" / f"{part}.jpg", (10 * number, 0, 0))
    parts = read("dtd", tmp_path)
    assert [reds(part) for part in (parts.train, parts.validation, parts.test)] == [[1, 10], [2, 20], [3, 30]]
    assert parts.train.labels.tolist() == [1, 0]


def test_gtsrb(tmp_path, write_image):
    root = tmp_path / "gtsrb"
    for label in (0, 14):
        write_image(root / "GTSRB" / "Training" / f"{label:05d}" / "00000.ppm", (label, 0, 0))
    for label in range(43):
        (root / "GTSRB" / "Training" / f"{label:05d}").mkdir(exist_ok=True)
        write_image(root / "GTSRB" / "Training" / f"{label:05d}" / "00001.ppm", (100 + label, 0, 0))
    write_image(root / "GTSRB" / "Final_Test" / "Images" / "00000.ppm", (7, 0, 0))
    (root / "GT-final_test.csv").write_text("Filename;Width;ClassId\n00000.ppm;8;42\n")
    parts = read("gtsrb", tmp_path)
    assert reds(parts.train)[:3] == [0, 100, 101] and reds(parts.test) == [7]
    assert parts.train.labels.tolist()[:3] == [0, 0, 1] and parts.test.labels.tolist() == [42]


def test_country211(tmp_path, write_image):
    for number, part in enumerate(("train", "valid", "test"), 1):
        for place, country in enumerate(("AD", "ZW")):
            write_image(tmp_path / "country211" / part / country / "1.jpg", (10 * number + place, 0, 0))
    parts = read("country211", tmp_path)
    assert [reds(part) for part in (parts.train, parts.validation, parts.test)] == [[10, 11], [20, 21], [30, 31]]
    assert parts.test.class_names == ("AD", "ZW") and parts.test.labels.tolist() == [0, 1]


def test_imagenette_is_named_by_the_first_of_its_words(tmp_path, write_image):
    for part, red in (("train", 1), ("val", 2)):
        for place, number in enumerate(("n01440764", "n03888257")):
            write_image(tmp_path / "imagenette2" / part / number / f"{number}_1.JPEG", (10 * red + place, 0, 0))
    parts = read("imagenette", tmp_path)
    assert (reds(parts.train), reds(parts.test)) == ([10, 11], [20, 21])
    assert parts.test.class_names == ("tench", "parachute") and parts.test.labels.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_the_family_of_mnist(name, tmp_path):
    raw = tmp_path / TORCHVISION[name].place
    raw.mkdir(parents=True)
    for part, count in (("train", 3), ("t10k", 2)):
        scans = np.arange(count, dtype=np.uint8).repeat(28 * 28)
        sizes = np.array([count, 28, 28], dtype=">i4").tobytes()
        (raw / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + scans.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + sizes[:4] + bytes(range(9, 9 - count, -1)))
    parts = read(name, tmp_path)
    assert (reds(parts.train), reds(parts.test)) == ([0, 1, 2], [0, 1])
    assert parts.train.labels.tolist() == [9, 8, 7] and len(parts.train.class_names) == 10
    assert parts.train.read(2).mode == "RGB" and parts.train.name(2) == f"{name} train image 2"
    cut = raw / "train-images-idx3-ubyte"
    cut.write_bytes(cut.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{name} was not found whole in .*torchvision: \\w+"):
        read(name, tmp_path)


def test_stl10(tmp_path, monkeypatch):
    root = tmp_path / "stl10_binary"
    root.mkdir()
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    lists = {"train_list": ("train_X.bin", "train_y.bin", "unlabeled_X.bin"), "test_list": ("test_X.bin", "test_y.bin")}
    for attribute, names in lists.items():
        for name in names:
            # Three planes, each column by column; labels from 1.
            contents = bytes([10]) if "_y" in name else image.transpose(2, 1, 0).tobytes()
            (root / name).write_bytes(contents)
        monkeypatch.setattr(datasets.STL10, attribute, [[name, md5(root / name)] for name in names])
    parts = read("stl10", tmp_path)
    assert np.array_equal(np.asarray(parts.test.read(0)), image)
    assert parts.train.labels.tolist() == [9] and parts.train.class_names[9] == "truck"


def test_svhn(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 2), dtype=np.uint8)
    for part in ("train", "test"):
        path = tmp_path / f"{part}_32x32.mat"
        savemat(path, {"X": images, "y": [[10], [3]]})
        monkeypatch.setitem(datasets.SVHN.split_list, part, ["", path.name, md5(path)])
    parts = read("svhn", tmp_path)
    assert np.array_equal(np.asarray(parts.train.read(1)), images[..., 1])
    assert parts.test.labels.tolist() == [0, 3]
