import pytest

from understudy.data.named.tiny_imagenet import tiny_imagenet


@pytest.fixture
def folder(tmp_path, write_image):
    root = tmp_path / "tiny-imagenet-200"
    for number in ("n02", "n01"):
        for image in range(2):
            write_image(root / "train" / number / "images" / f"{number}_{image}.JPEG")
        (root / "train" / number / f"{number}_boxes.txt").write_text("")
    for image in range(3):
        write_image(root / "val" / "images" / f"val_{image}.JPEG", (image, 0, 0))
    (root / "val" / "val_annotations.txt").write_text(
        "val_0.JPEG\tn02\t0\t32\t44\t62\nval_2.JPEG\tn01\t0\t0\t63\t63\nval_1.JPEG\tn02\t0\t0\t63\t63\n"
    )
    (root / "wnids.txt").write_text("n02\nn01\n")
    (root / "words.txt").write_text(
        "n00\tnothing\nn01\tgoldfish, Carassius auratus\nn02\tgreat white shark, man-eater\n"
    )
    return tmp_path


def test_classes_are_in_the_order_of_their_numbers_and_named_by_the_words(folder):
    parts = tiny_imagenet(folder)
    assert parts.train.class_names == ("goldfish", "great white shark")
    assert parts.train.labels.tolist() == [0, 0, 1, 1] and parts.train.name(3) == "train/n02/images/n02_1.JPEG"
    assert parts.test.labels.tolist() == [1, 0, 1]
    assert [parts.test.read(index).getpixel((0, 0))[0] for index in range(3)] == [0, 2, 1]


def test_classes_without_images_and_files_that_are_absent_are_named(folder, write_image):
    root = folder / "tiny-imagenet-200"
    (root / "val" / "images" / "val_1.JPEG").unlink()
    with pytest.raises(ValueError, match=r"1 of 3 files that val/val_annotations.txt names are not in .*val_1.JPEG"):
        tiny_imagenet(folder)
    (root / "wnids.txt").write_text("n02\nn01\nn03\nn04\n")
    with pytest.raises(
        ValueError, match=r"2 of 4 classes of wnids.txt have no train/CLASS/images/\*.JPEG .*: n03; n04"
    ):
        tiny_imagenet(folder)


def test_classes_unknown_to_wnids_and_a_missing_list_are_named(folder):
    root = folder / "tiny-imagenet-200"
    (root / "wnids.txt").write_text("n02\n")
    with pytest.raises(ValueError, match=r"val_annotations.txt: 1 classes are not in wnids.txt: n01"):
        tiny_imagenet(folder)
    (root / "words.txt").unlink()
    (root / "wnids.txt").unlink()
    with pytest.raises(ValueError, match=r"tiny-imagenet-200 has no wnids.txt, words.txt; expected"):
        tiny_imagenet(folder)
