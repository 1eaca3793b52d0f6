"""Whether a command may go on in a run's folder: settings by value, files of weights by content."""

import shutil

import pytest

from understudy.engine.records import checkpoint, folder
from understudy.models import build, save_weights
from understudy.spec import read_settings, run_files


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the weights of two teachers, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "other"):
        save_weights(build("digits-1x6", num_classes=10, in_channels=1), tmp_path / f"{name}.safetensors")
    return tmp_path


def settings(**options):
    stated = {"student.model": "digits-1x4", "teacher.model": "digits-1x6", "teacher.weights": "one.safetensors"}
    return read_settings(options=stated | {"data.name": "digits"} | options)


def begin(path, wanted):
    """A run that has saved something, with which it can be gone on."""
    folder.start(path, wanted)
    (path / checkpoint.FILE).touch()


def test_weights_may_move_and_be_named_in_another_way(place):
    begin(place / "run", settings())
    assert not folder.is_finished(place / "run", settings(**{"teacher.weights": str(place / "one.safetensors")}))
    shutil.move("one.safetensors", "moved.safetensors")
    assert not folder.is_finished(place / "run", settings(**{"teacher.weights": "moved.safetensors"}))


@pytest.mark.parametrize("name", ["teacher.weights", "student.weights"])
def test_other_weights_in_the_same_place_are_another_run(place, name):
    begin(place / "run", settings(**{name: "one.safetensors"}))
    shutil.copy("other.safetensors", "one.safetensors")
    with pytest.raises(ValueError, match=rf"{name} was one.safetensors with SHA-256 \w{{10}}, and is one.safetensors"):
        folder.is_finished(place / "run", settings(**{name: "one.safetensors"}))


def test_a_further_teacher_is_known_by_its_content_as_well(place):
    def two(weights):
        made = settings()
        return made.model_copy(update={"more_teachers": (made.teacher.model_copy(update={"weights": weights}),)})

    begin(place / "run", two(place / "other.safetensors"))
    shutil.copy("other.safetensors", "copied.safetensors")
    assert not folder.is_finished(place / "run", two(place / "copied.safetensors"))
    with pytest.raises(ValueError, match=r"more_teachers.0.weights was .*other.safetensors"):
        folder.is_finished(place / "run", two(place / "one.safetensors"))


def test_a_section_without_settings_is_no_difference_of_its_own(place):
    begin(place / "run", settings())
    with pytest.raises(ValueError, match="other settings: terms.ab.margin is None there, 2 here. Give"):
        folder.is_finished(place / "run", settings(**{"terms.ab.margin": 2}))


def test_images_may_move_with_their_folder(place):
    begin(place / "run", settings(**{"data.name": "folder:/one/photos"}))
    assert not folder.is_finished(place / "run", settings(**{"data.name": "folder:elsewhere"}))
    for other in ("folder:/one/photos-disjoint", "parquet:/one/photos", "cifar10"):
        with pytest.raises(ValueError, match="data.name is 'folder:/one/photos' there"):
            folder.is_finished(place / "run", settings(**{"data.name": other}))


def test_weights_that_are_gone_are_the_same_if_they_have_the_same_name(place):
    begin(place / "run", settings())
    (place / "one.safetensors").unlink()
    assert not folder.is_finished(place / "run", settings())


def test_no_weights_in_place_of_some_are_another_run(place):
    begin(place / "run", settings())
    with pytest.raises(ValueError, match=r"teacher.weights is 'one.safetensors' there, None here"):
        folder.is_finished(place / "run", settings(**{"teacher.weights": None}))


def test_a_folder_from_before_fingerprints_goes_by_names(place):
    begin(place / "run", settings())
    (place / "run" / run_files.WEIGHTS).unlink()
    assert not folder.is_finished(place / "run", settings())
    shutil.copy("one.safetensors", "copied.safetensors")
    with pytest.raises(ValueError, match=r"teacher.weights is 'one.safetensors' there, 'copied.safetensors' here"):
        folder.is_finished(place / "run", settings(**{"teacher.weights": "copied.safetensors"}))


def test_what_a_run_left_that_never_saved_is_not_the_next_ones(place):
    left = [run_files.BEST, run_files.MISLABELLED, run_files.WEIGHTS]
    for settled in (False, True):
        path = place / f"run{settled}"
        (begin if settled else folder.start)(path, settings())
        for name in left:
            (path / name).touch()
        alone = settings(**{"teacher.model": None, "teacher.weights": None}) if not settled else settings()
        folder.start(path, alone)
        assert [name for name in left if (path / name).exists()] == (left if settled else [])
