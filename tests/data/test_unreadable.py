from understudy.data.file_source import image_files
from understudy.data.unreadable import unreadable


def test_every_image_that_cannot_be_read_is_named_at_once(tmp_path, write_image):
    write_image(tmp_path / "good.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"no image")
    names = ["empty.png", "good.png", "text.png", "absent.png"]
    troubles = unreadable(image_files(tmp_path, names, [0] * 4, ["x"]))
    assert [trouble.split(" ")[0] for trouble in troubles] == [
        str(tmp_path / name) for name in ("empty.png", "text.png", "absent.png")
    ]
    assert "is empty" in troubles[0] and "is broken" in troubles[1] and "is not there" in troubles[2]


def test_a_set_that_can_be_read_has_no_troubles(tmp_path, write_image):
    write_image(tmp_path / "good.png")
    assert unreadable(image_files(tmp_path, ["good.png"], [0], ["x"])) == []
