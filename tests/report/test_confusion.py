"""The picture of what is taken for what."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from understudy.report.confusion import check_picture, write_confusion

pytestmark = pytest.mark.slow

COUNTS = [[90, 10, 0], [0, 75, 25], [0, 0, 0]]


def words_in(path):
    return ["".join(text.itertext()) for text in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_each_cell_has_its_share_and_each_class_its_name_twice(tmp_path):
    path = write_confusion(COUNTS, ["a$b$", "dog", "ship"], tmp_path / "new" / "c.svg", "net on data")
    words = words_in(path)
    # Rows in per cent of their images; a zero stays empty, and so does a class without images.
    assert [word for word in words if word.replace(".", "").isdigit()] == ["90", "10", "75", "25"]
    assert words.count("a$b$") == words.count("dog") == words.count("ship") == 2 and "net on data" in words


def test_the_same_counts_give_the_same_bytes(tmp_path):
    for name in ("a.svg", "b.svg"):
        write_confusion(COUNTS, ["cat", "dog", "ship"], tmp_path / name, "same")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(("num_classes", "named"), [(21, True), (130, False)])
def test_many_classes_have_scales_instead_of_numbers_and_names_where_they_fit(tmp_path, num_classes, named):
    names = [f"class {index}" for index in range(num_classes)]
    counts = 5 * np.eye(num_classes, dtype=int)
    words = words_in(write_confusion(counts.tolist(), names, tmp_path / "c.svg", "many"))
    assert "right, %" in words and "wrong, %" in words
    assert (words.count("class 20") == 2) == named


def test_right_and_wrong_have_their_own_colours(tmp_path):
    path = write_confusion([[0, 9], [0, 9]], ["cat", "dog"], tmp_path / "c.png", "one is always wrong")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    counts = [
        int((np.abs(pixels.astype(int) - colour).max(axis=1) < 4).sum())
        for colour in ([0x0B, 0x63, 0xB6], [0xC2, 0x41, 0x0B])
    ]
    assert min(counts) > 1000 and max(counts) < 1.2 * min(counts)


def test_another_kind_of_file_is_told():
    with pytest.raises(ValueError, match=r"written as .svg or .png, found c\.jpg"):
        check_picture(Path("c.jpg"))
