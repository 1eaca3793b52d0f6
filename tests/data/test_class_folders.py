import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torchvision.datasets import ImageFolder

from understudy.data.class_folders import class_folders


@pytest.fixture
def divided_folder(tmp_path, write_image):
    """train and val of the classes bee, Ant and cat, with 3 and 2 images of each."""
    for part, count in (("train", 3), ("val", 2)):
        for name in ("bee", "Ant", "cat"):
            for number in range(count):
                write_image(tmp_path / part / name / f"{number}.png", (number, 1, 2))
    return tmp_path


@pytest.fixture
def plain_folder(tmp_path, write_image):
    """10 ants and 5 bees in folders of their own."""
    for name, count in (("ant", 10), ("bee", 5)):
        for number in range(count):
            write_image(tmp_path / "all" / name / f"{number:02d}.png")
    return tmp_path / "all"


def test_the_stamps_of_files_change_when_one_is_written_again(divided_folder, write_image):
    before = class_folders(divided_folder, seed=0).train
    assert class_folders(divided_folder, seed=0).train.stamps() == before.stamps()
    write_image(divided_folder / "train" / "bee" / "1.png", (9, 9, 9))
    after = class_folders(divided_folder, seed=0).train
    assert after.stamps() != before.subset([0]).stamps() and after.fingerprint() == before.fingerprint()
    assert after.subset([0, 1]).stamps() == before.subset([0, 1]).stamps()


def test_train_and_val_are_read_as_torchvision_reads_them(divided_folder):
    found = class_folders(divided_folder, seed=0)
    expected = ImageFolder(divided_folder / "train")
    assert found.train.class_names == tuple(expected.classes) == ("Ant", "bee", "cat")
    assert found.train.labels.tolist() == expected.targets
    assert [str(divided_folder / found.train.name(index)) for index in range(9)] == [
        path for path, _ in expected.samples
    ]
    assert len(found.test) == 6 and found.validation is None
    assert found.train.name(4) == "train/bee/1.png" and found.train.read(4).getpixel((0, 0)) == (1, 1, 2)
    assert found.note == f"{divided_folder}, train and val as they lie there"


def test_with_test_beside_val_the_second_is_for_validation(divided_folder, write_image):
    for name in ("bee", "Ant", "cat"):
        write_image(divided_folder / "test" / name / "x.PNG")
    found = class_folders(divided_folder, seed=0)
    assert (len(found.test), len(found.validation)) == (3, 6)


def test_folders_of_classes_alone_are_divided_by_seed(plain_folder):
    found = class_folders(plain_folder, seed=3)
    assert torch.bincount(found.test.labels).tolist() == [2, 1]
    assert torch.bincount(found.train.labels).tolist() == [8, 4]
    assert "20% of every class to test on, drawn by seed 3" in found.note
    again = class_folders(plain_folder, seed=3)
    assert again.test.fingerprint() == found.test.fingerprint()


def test_another_place_changes_neither_the_division_nor_the_fingerprint(plain_folder):
    before = class_folders(plain_folder, seed=0)
    moved = class_folders(plain_folder.rename(plain_folder.parent / "elsewhere"), seed=0)
    assert moved.test.fingerprint() == before.test.fingerprint()
    assert moved.train.read(0).size == (8, 6)


def test_a_source_goes_to_another_process(divided_folder):
    train = class_folders(divided_folder, seed=0).train
    copy = pickle.loads(pickle.dumps(train.source))
    assert copy.name(4) == train.name(4) and copy.read(4).getpixel((0, 0)) == (1, 1, 2)


def test_classes_that_differ_are_all_named(divided_folder, write_image):
    (divided_folder / "val" / "cat").rename(divided_folder / "val" / "dog")
    with pytest.raises(ValueError, match="classes of train and test differ: 1 class is missing: cat; .*: dog$"):
        class_folders(divided_folder, seed=0)


def test_empty_classes_and_unread_endings_are_named_at_once(plain_folder):
    (plain_folder / "cow").mkdir()
    (plain_folder / "dog").mkdir()
    (plain_folder / "dog" / "a.gif").write_bytes(b"")
    with pytest.raises(
        ValueError,
        match=r"2 of 4 classes in .*all have no images: cow \(found nothing\); dog \(found a\.gif\); endings .*\.jpg",
    ):
        class_folders(plain_folder, seed=0)


def test_files_of_other_kinds_beside_images_are_counted(plain_folder):
    for name in ("a.gif", "b.GIF", "list.txt"):
        (plain_folder / "ant" / name).write_bytes(b"")
    found = class_folders(plain_folder, seed=0)
    assert len(found.train) + len(found.test) == 15
    assert "left out (2 of .gif, 1 of .txt)" in found.note


def test_a_folder_that_is_no_data_set_is_answered_with_what_is_there(tmp_path, divided_folder):
    with pytest.raises(ValueError, match=r"there is no such folder; .* has train, val; nearest: train$"):
        class_folders(tmp_path / "trian", seed=0)
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"flat has no folders of classes: expected .*CLASS/IMAGE.jpg, found a.jpg"):
        class_folders(tmp_path / "flat", seed=0)
    (tmp_path / "val").rename(tmp_path / "other")
    with pytest.raises(ValueError, match="it has train, but neither test nor val; folder:.*/train divides"):
        class_folders(tmp_path, seed=0)


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "VALID"), ("TRAIN", "testing")])
def test_parts_are_known_in_any_capitals_and_by_their_variants(tmp_path, write_image, names):
    for part in names:
        for name in ("ant", "bee"):
            write_image(tmp_path / part / name / "0.png")
    found = class_folders(tmp_path, seed=0)
    assert found.train.class_names == ("ant", "bee") and len(found.train) == len(found.test) == 2
    assert found.train.name(0) == f"{names[0]}/ant/0.png"


def test_a_test_part_without_a_train_part_is_no_class(tmp_path, write_image):
    for name in ("Test", "ant"):
        write_image(tmp_path / name / "x" / "0.png")
    with pytest.raises(ValueError, match="it has Test, but no train"):
        class_folders(tmp_path, seed=0)


def test_one_class_is_refused_and_a_folder_around_the_set_is_told(tmp_path, write_image):
    for name in ("ant", "bee"):
        write_image(tmp_path / "archive" / name / "0.png")
    with pytest.raises(ValueError, match=r"one class, archive; .* did you mean folder:.*archive\?$"):
        class_folders(tmp_path, seed=0)
    write_image(tmp_path / "lone" / "ant" / "0.png")
    with pytest.raises(ValueError, match="one class, ant; a network needs two or more to tell apart$"):
        class_folders(tmp_path / "lone", seed=0)


def test_the_folder_may_be_the_one_in_which_the_command_is_run(divided_folder, monkeypatch):
    monkeypatch.chdir(divided_folder)
    found = class_folders(Path("."), seed=0)
    assert found.train.name(4) == "train/bee/1.png" and found.train.read(4).getpixel((0, 0)) == (1, 1, 2)


def test_names_that_are_no_utf_8_are_told(plain_folder, write_image):
    write_image(plain_folder / "ant" / os.fsdecode(b"\xe9.png"))
    with pytest.raises(ValueError, match="1 of 16 files in .* have names that are not UTF-8; rename them"):
        class_folders(plain_folder, seed=0)


def test_hidden_folders_and_files_are_left_out(plain_folder, write_image):
    (plain_folder / ".ipynb_checkpoints").mkdir()
    # Copies inside a class, and what macOS leaves beside a file, are no images of it.
    write_image(plain_folder / "ant" / ".ipynb_checkpoints" / "0-checkpoint.png")
    (plain_folder / "ant" / "._0.png").write_bytes(b"no image")
    found = class_folders(plain_folder, seed=0)
    assert found.train.class_names == ("ant", "bee") and len(found.train) + len(found.test) == 15


def test_two_folders_for_one_part_are_refused(divided_folder):
    (divided_folder / "validation" / "bee").mkdir(parents=True)
    with pytest.raises(ValueError, match="it has val and validation, which are called alike; expected one of them"):
        class_folders(divided_folder, seed=0)


def test_parts_by_names_that_are_not_looked_for_are_told_and_not_taken_for_classes(tmp_path, write_image):
    for part in ("train_images", "val_images"):
        for name in ("a", "b"):
            write_image(tmp_path / part / name / "1.png")
    told = "train_images, val_images hold folders and are called by parts, not by classes; call them train, and test or"
    with pytest.raises(ValueError, match=told):
        class_folders(tmp_path, seed=0)


def test_a_division_inside_the_classes_is_told_and_not_mixed(tmp_path, write_image):
    for name in ("a", "b"):
        for part in ("Train", "test"):
            write_image(tmp_path / name / part / "1.png")
    with pytest.raises(ValueError, match=r"the classes hold Train, test; expected the classes in these: .*Train/a"):
        class_folders(tmp_path, seed=0)
    # Of a single folder it is the folder above that was given.
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(ValueError, match="found one class, a; .* did you mean folder:.*/a"):
        class_folders(tmp_path, seed=0)


def test_folders_inside_a_class_are_named(tmp_path, write_image):
    for place in ("animals/cat", "animals/dog", "cars/.thumbs", "cars"):
        for number in range(5):
            write_image(tmp_path / place / f"{number}.png")
    note = class_folders(tmp_path, seed=0).note
    assert "a folder for every class, with the images of the folders in it (animals: cat, dog);" in note
