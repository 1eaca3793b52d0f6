import pytest
import torch

from understudy.data.division import Parts, divided
from understudy.data.file_source import image_files

NAMES = [f"{class_name}/{number}" for class_name in "abc" for number in range(10 if class_name != "c" else 3)]
LABELS = ["abc".index(name[0]) for name in NAMES]


def files(root, names=NAMES, labels=LABELS, class_names="abc"):
    return image_files(root, names, labels, class_names)


def names_of(part):
    return {part.name(index) for index in range(len(part))}


def test_a_fifth_of_every_class_is_tested_on_and_no_image_is_on_both_sides(tmp_path):
    parts = divided("x", files(tmp_path), seed=0, note="somewhere")
    assert torch.bincount(parts.test.labels).tolist() == [2, 2, 1]
    assert not names_of(parts.train) & names_of(parts.test)
    assert names_of(parts.train) | names_of(parts.test) == set(NAMES)
    assert parts.train.labels.tolist() == sorted(parts.train.labels.tolist())


def test_the_seed_alone_draws_them(tmp_path):
    drawn = [names_of(divided("x", files(tmp_path), seed=seed, note="").test) for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1] and drawn[0] != drawn[2] != drawn[3]
    torch.manual_seed(5)
    backwards = divided("x", files(tmp_path, NAMES[::-1], LABELS[::-1]), seed=0, note="").test
    assert names_of(backwards) == drawn[0]
    one_class = divided("x", files(tmp_path, NAMES[:10], LABELS[:10], "a"), seed=0, note="").test
    assert names_of(one_class) == {name for name in drawn[0] if name.startswith("a")}


def test_classes_of_one_image_are_all_named(tmp_path):
    with pytest.raises(ValueError, match="^x: 2 of 3 classes have one image, .*: a; c$"):
        divided("x", files(tmp_path, ["1", "2", "3", "4"], [0, 1, 1, 2]), seed=0, note="")


def test_parts_without_images_and_classes_in_another_order_are_refused(tmp_path):
    whole = files(tmp_path)
    with pytest.raises(ValueError, match="x: test has no images"):
        Parts(name="x", train=whole, test=whole.subset([]), note="")
    with pytest.raises(ValueError, match="x: the classes of train and validation differ: they are in another order"):
        Parts(name="x", train=whole, test=whole, validation=files(tmp_path, class_names="bac"), note="")
