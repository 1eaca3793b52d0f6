import pytest

from understudy.data import load
from understudy.data.named.sop import sop

HEADING = "image_id class_id super_class_id path"
TRAIN = [
    "1 1 1 bicycle_final/111085122871_0.JPG",
    "2 1 1 bicycle_final/111085122871_1.JPG",
    "3 2 1 chair_final/5_0.JPG",
]
TEST = ["4 11319 2 chair_final/7_0.JPG", "5 11319 2 chair_final/7_1.JPG"]


@pytest.fixture
def write(tmp_path, write_image):
    """A function that writes the set's lists anew and answers the data folder."""
    root = tmp_path / "Stanford_Online_Products"
    for line in [*TRAIN, *TEST]:
        write_image(root / line.split()[3], (int(line.split()[0]), 0, 0))

    def write_lists(train=TRAIN, test=TEST, heading=HEADING):
        (root / "Ebay_train.txt").write_text("\n".join([heading, *train]))
        (root / "Ebay_test.txt").write_text("\n".join([heading, *test]))
        return tmp_path

    return write_lists


def test_the_official_lists_are_taken(write):
    found = sop(write())
    assert found.train.class_names == ("1", "2") and found.test.class_names == ("11319",)
    assert found.train.labels.tolist() == [0, 0, 1] and found.test.labels.tolist() == [0, 0]
    assert found.test.name(1) == "chair_final/7_1.JPG" and found.test.read(1).getpixel((0, 0))[0] == 5
    assert load("sop", folder=write()).disjoint


def test_products_in_both_lists_and_other_headings_are_refused(write):
    with pytest.raises(ValueError, match="1 products are in Ebay_train.txt and in Ebay_test.txt: 2"):
        sop(write(test=["4 2 2 chair_final/7_0.JPG"]))
    with pytest.raises(
        ValueError, match="expected the heading 'image_id class_id super_class_id path', found 'a b c d'"
    ):
        sop(write(heading="a b c d"))
    with pytest.raises(ValueError, match=r"Ebay_test.txt lists no images"):
        sop(write(test=[]))


def test_files_that_are_not_there_are_named(write, tmp_path):
    with pytest.raises(ValueError, match="1 of 1 files that Ebay_test.txt names are not in .*: chair_final/x.JPG"):
        sop(write(test=["4 9 2 chair_final/x.JPG"]))
    (tmp_path / "Stanford_Online_Products" / "Ebay_test.txt").unlink()
    with pytest.raises(ValueError, match="has no Ebay_test.txt"):
        sop(tmp_path)
