from dataclasses import replace

import pytest
import torch

from understudy.data import load
from understudy.data.disjoint import divided_by_class, held_out_classes, pooled
from understudy.data.file_source import image_files
from understudy.data.parts import parts


def test_the_first_half_of_the_classes_is_trained_on_and_the_others_keep_their_images(image_set):
    first, others = divided_by_class(image_set)
    assert (first.class_names, others.class_names) == (("ant", "bee"), ("cat",))
    assert torch.equal(first.images, image_set.images[image_set.labels < 2])
    assert torch.equal(others.images, image_set.images[image_set.labels == 2])
    assert torch.bincount(first.labels).tolist() == [10, 20] and others.labels.unique().tolist() == [0]


def test_pooled_files_are_read_and_named_by_their_own_source(tmp_path, write_image):
    for row in range(4):
        write_image(tmp_path / f"{row}.png", (row, 0, 0))
    train = image_files(tmp_path, ["0.png", "1.png", "2.png"], [0, 0, 1], ["a", "b"]).subset([2, 0])
    test = image_files(tmp_path, ["3.png"], [1], ["a", "b"])
    whole = pooled([train, test])
    assert [whole.name(index) for index in range(3)] == ["2.png", "0.png", "3.png"]
    assert [whole.read(index).getpixel((0, 0))[0] for index in range(3)] == [2, 0, 3]
    assert whole.labels.tolist() == [1, 0, 1]


def test_a_validation_part_holds_whole_classes_out(image_set):
    remaining, validation = held_out_classes(image_set, fraction=0.3)
    assert remaining.class_names == ("ant", "bee") and validation.class_names == ("cat",) and len(validation) == 30
    with pytest.raises(ValueError, match=r"fraction of 0.1 holds 0 of 3 classes out; .* from 0.33 to 0.67"):
        held_out_classes(image_set, fraction=0.1)


def test_one_class_alone_cannot_be_divided(image_set):
    with pytest.raises(ValueError, match="divided by class, and there is 1: ant"):
        divided_by_class(divided_by_class(image_set, 1)[0])


def test_a_set_in_memory_is_pooled_before_it_is_divided():
    whole, disjoint = load("digits"), load("digits-disjoint")
    assert disjoint.train.class_names == ("0", "1", "2", "3", "4") and disjoint.test.class_names[0] == "5"
    assert len(disjoint.train) + len(disjoint.test) == len(whole.train) + len(whole.test)
    assert disjoint.mean == whole.mean and disjoint.disjoint and disjoint.num_classes == 5
    held = load("digits-disjoint", validation=0.4, per_class=3)
    assert held.validation is not None and held.validation.class_names == ("3", "4") and len(held.train) == 9
    assert (
        load("digits-disjoint", validation=0.4, seed=9).fingerprint()
        == load("digits-disjoint", validation=0.4).fingerprint()
    )


def test_classes_of_a_set_that_is_divided_by_class_cannot_be_chosen():
    with pytest.raises(ValueError, match="digits-disjoint is divided by class, so none can be chosen"):
        load("digits-disjoint", classes=["1", "7"])
    assert load("digits-disjoint", classes=["0", "1", "2", "3", "4"]).num_classes == 5


def test_parquet_files_and_class_folders_are_divided_by_class_too(cifar_folder, tmp_path, write_image):
    found = parts("cifar10-disjoint", folder=cifar_folder, seed=0, download=False)
    assert len(found.train.class_names) == 5 and len(found.train) == len(found.test) == 10
    assert found.train.labels.tolist() == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0]
    for name in ("a", "b", "c"):
        for row in range(2):
            write_image(tmp_path / "mine" / name / f"{row}.png")
    own = parts(f"folder:{tmp_path / 'mine'}-disjoint", folder=tmp_path, seed=0, download=False)
    assert own.train.class_names == ("a", "b") and own.test.class_names == ("c",) and len(own.train) == 4
    with pytest.raises(ValueError, match="unknown data set 'mine'"):
        parts("mine-disjoint", folder=tmp_path, seed=0, download=False)


def test_parts_that_share_a_class_are_refused():
    disjoint = load("digits-disjoint")
    with pytest.raises(ValueError, match="test and train share the classes 0, 1, 2, 3, 4"):
        replace(disjoint, test=disjoint.train)
    with pytest.raises(ValueError, match="gallery has the classes 0, .*, test has 5"):
        replace(disjoint, gallery=disjoint.train)
    assert replace(disjoint, gallery=disjoint.test).gallery is disjoint.test


def test_the_real_cars_are_sixteen_models_and_sixteen_others(data_folder):
    found = parts("cars32-disjoint", folder=data_folder("cars32"), seed=0, download=False)
    assert len(found.train.class_names) == len(found.test.class_names) == 16
    assert len(found.train) + len(found.test) == 768 + 320
    assert not set(found.train.class_names) & set(found.test.class_names)
    assert max(found.test.read(0).size) <= 128
