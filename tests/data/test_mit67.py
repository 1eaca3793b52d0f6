import pytest

from understudy.data.named.mit67 import mit67


@pytest.fixture
def folder(tmp_path, write_image):
    root = tmp_path / "mit67"
    images = ["office/a.jpg", "bar/b c.jpg", "bar/d.jpg", "office/e.jpg", "bar/unlisted.jpg"]
    for number, image in enumerate(images):
        write_image(root / "Images" / image, (number, 0, 0))
    (root / "TrainImages.txt").write_text("office/a.jpg\nbar/b c.jpg\n")
    (root / "TestImages.txt").write_text("bar/d.jpg\r\n\noffice/e.jpg")
    return tmp_path


def test_the_two_lists_say_what_is_trained_on_and_what_is_tested_on(folder):
    parts = mit67(folder)
    assert parts.train.class_names == ("bar", "office")
    assert parts.train.labels.tolist() == [1, 0] and parts.test.labels.tolist() == [0, 1]
    assert parts.train.name(1) == "Images/bar/b c.jpg"
    assert parts.test.read(0).getpixel((0, 0)) == (2, 0, 0)


def test_all_listed_files_that_are_absent_are_named_at_once(folder):
    with (folder / "mit67" / "TrainImages.txt").open("a") as file:
        file.write("bar/x.jpg\noffice/y.jpg\n")
    with pytest.raises(
        ValueError, match=r"2 of 4 files that TrainImages.txt names are not in .*mit67: .*x.jpg; .*y.jpg"
    ):
        mit67(folder)


def test_all_that_the_layout_lacks_is_named_at_once(folder, tmp_path):
    (folder / "mit67" / "TrainImages.txt").unlink()
    (folder / "mit67" / "TestImages.txt").unlink()
    with pytest.raises(ValueError, match=r"mit67 has no TrainImages.txt, TestImages.txt; expected there Images, "):
        mit67(folder)
    with pytest.raises(ValueError, match=r"mit67: there is no .*elsewhere/mit67; expected .*UNDERSTUDY_DATA"):
        mit67(tmp_path / "elsewhere")


def test_lines_that_name_no_class_are_listed(folder):
    (folder / "mit67" / "TestImages.txt").write_text("bar/d.jpg\nd.jpg\nImages/bar/d.jpg\n")
    with pytest.raises(ValueError, match=r"2 of 3 lines are not CLASS/IMAGE: d.jpg; Images/bar/d.jpg"):
        mit67(folder)
