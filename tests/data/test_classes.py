import pytest
import torch

from understudy.data.classes import select_classes
from understudy.data.file_source import image_files


def test_labels_are_the_places_of_the_names_given_and_other_classes_are_gone(image_set):
    chosen = select_classes(image_set, ["cat", "ant"])
    assert chosen.class_names == ("cat", "ant")
    kept = [index for index, label in enumerate(image_set.labels.tolist()) if label in (0, 2)]
    assert torch.equal(chosen.images, image_set.images[kept])
    assert chosen.labels.tolist() == [{2: 0, 0: 1}[image_set.labels[index].item()] for index in kept]


def test_all_classes_in_their_order_are_the_set_itself(image_set):
    assert select_classes(image_set, image_set.class_names).fingerprint() == image_set.fingerprint()


def test_images_in_files_are_chosen_alike(tmp_path):
    files = image_files(tmp_path, ["1", "2", "3", "4"], [0, 1, 2, 1], ["ant", "bee", "cat"])
    chosen = select_classes(files, ["cat", "bee"])
    assert [chosen.name(index) for index in range(3)] == ["2", "3", "4"]
    assert chosen.labels.tolist() == [1, 0, 1] and chosen.class_names == ("cat", "bee")


def test_all_unknown_names_are_answered_with_the_nearest(image_set):
    with pytest.raises(ValueError) as caught:
        select_classes(image_set, ["BEE", "cut", "ant", "xyz"])
    assert str(caught.value) == (
        "unknown classes: 'BEE' (did you mean 'bee'?); 'cut' (did you mean 'cat'?); 'xyz'; "
        "the set has 3 classes: ant, bee, cat"
    )


def test_no_names_and_names_given_twice_are_refused(image_set, tmp_path):
    with pytest.raises(ValueError, match="no classes are chosen"):
        select_classes(image_set, [])
    with pytest.raises(ValueError, match="given twice: ant$"):
        select_classes(image_set, ["ant", "bee", "ant"])
    with pytest.raises(ValueError, match="have the same name: crane"):
        select_classes(image_files(tmp_path, ["1"], [0], ["crane", "crane"]), ["crane"])


def test_names_that_yaml_took_for_numbers_are_told_to_be_quoted(tmp_path):
    files = image_files(tmp_path, ["1", "2"], [0, 1], ["00001", "00002"])
    with pytest.raises(ValueError, match=r"names of digits want quotes, data\.classes='\[\"00001\", \"00002\"\]'"):
        select_classes(files, ["1", "2"])
