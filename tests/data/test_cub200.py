import pytest

from understudy.data.named.cub200 import cub200

IMAGES = ["1 001.Gull/a.jpg", "2 001.Gull/b.jpg", "3 002.Wren/c.jpg", "4 002.Wren/d.jpg"]


@pytest.fixture
def write(tmp_path, write_image):
    """A function that writes the set's lists anew, those given instead of its own, and answers the data folder."""
    root = tmp_path / "CUB_200_2011"
    for line in IMAGES:
        write_image(root / "images" / line.split()[1], (int(line.split()[0]), 0, 0))

    def write_lists(images=IMAGES, labels=("1 1", "2 1", "3 2", "4 2"), split=("1 1", "2 0", "3 0", "4 1")):
        (root / "images.txt").write_text("\n".join(images))
        (root / "image_class_labels.txt").write_text("\n".join(labels))
        (root / "train_test_split.txt").write_text("\n".join(split))
        (root / "classes.txt").write_text("1 001.Gull\n2 002.Wren\n")
        return tmp_path

    return write_lists


def test_the_official_split_is_taken(write):
    parts = cub200(write())
    assert parts.train.class_names == ("001.Gull", "002.Wren")
    assert parts.train.labels.tolist() == [0, 1] and parts.test.labels.tolist() == [0, 1]
    assert [part.read(index).getpixel((0, 0))[0] for part in (parts.train, parts.test) for index in (0, 1)] == [
        1,
        4,
        2,
        3,
    ]


def test_the_order_of_the_lines_of_other_lists_does_not_matter(write):
    parts = cub200(write(labels=("4 2", "2 1", "3 2", "1 1"), split=("3 0", "1 1", "4 1", "2 0")))
    assert [parts.train.name(index) for index in (0, 1)] == ["images/001.Gull/a.jpg", "images/002.Wren/d.jpg"]


def test_lists_of_different_images_are_told_apart(write):
    with pytest.raises(ValueError, match=r"labels.txt: 2 images are in it alone or in images.txt alone: 4; 5"):
        cub200(write(labels=("1 1", "2 1", "3 2", "5 2")))
    with pytest.raises(ValueError, match=r"train_test_split.txt: 1 images are in it alone .*: 2"):
        cub200(write(split=("1 1", "3 0", "4 1")))


def test_unknown_classes_and_other_splits_are_named(write):
    with pytest.raises(ValueError, match=r"1 classes are not in classes.txt: 3"):
        cub200(write(labels=("1 1", "2 1", "3 3", "4 3")))
    with pytest.raises(ValueError, match=r"expected 1 \(train\) or 0 \(test\) for every image, found 2"):
        cub200(write(split=("1 1", "2 2", "3 0", "4 1")))


def test_numbers_that_stand_twice_and_short_lines_are_listed(write):
    with pytest.raises(ValueError, match=r"images.txt: 1 numbers stand in it more than once: 1"):
        cub200(write(images=[*IMAGES, "1 001.Gull/z.jpg"]))
    with pytest.raises(
        ValueError, match=r"labels.txt: 2 of 4 lines have fewer than 2 fields: line 1: '1'; line 3: '3'"
    ):
        cub200(write(labels=("1", "2 1", "3", "4 2")))


def test_listed_files_and_lists_that_are_absent_are_named(write, tmp_path):
    with pytest.raises(ValueError, match=r"1 of 3 files that images.txt names are not in .*: images/002.Wren/x.jpg"):
        cub200(
            write(
                [*IMAGES, "5 002.Wren/x.jpg"], ("1 1", "2 1", "3 2", "4 2", "5 2"), ("1 1", "2 0", "3 0", "4 1", "5 1")
            )
        )
    (tmp_path / "CUB_200_2011" / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"CUB_200_2011 has no classes.txt; expected there images, images.txt, "):
        cub200(tmp_path)
