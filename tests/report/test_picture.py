import pytest
from PIL import Image

from understudy.report import picture, read_run
from understudy.report.palette import LIGHT

pytestmark = pytest.mark.slow


def colours_in(path):
    with Image.open(path) as image:
        assert image.size == (1600, 900)
        pixels = image.convert("RGB").tobytes()
    return {f"#{pixels[at : at + 3].hex()}" for at in range(0, len(pixels), 3)}


def test_the_picture_has_the_colour_of_every_run_and_of_the_teacher(four_runs, tmp_path):
    path = picture([read_run(path) for path in four_runs[:3]], tmp_path / "new" / "picture.png")
    assert {LIGHT[role] for role in ("series-0", "series-1", "series-2", "quiet")} <= colours_in(path)
    assert LIGHT["series-3"] not in colours_in(path)


def test_a_picture_of_one_unfinished_run_without_numbers_can_be_made(folders, tmp_path):
    run = read_run(folders.make("none", 80.0, finished_epochs=0, teacher=None, task="train"))
    assert colours_in(picture([run], tmp_path / "picture.png"))


def test_a_run_may_be_given_twice(four_runs, tmp_path):
    runs = [read_run(four_runs[0])] * 2
    assert colours_in(picture(runs, tmp_path / "picture.png"))
