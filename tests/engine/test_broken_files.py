"""A run folder in which something is broken: one sentence with the file's name, never a traceback."""

import shutil

import pytest
import torch

from tests.engine.stopping import stops_after
from understudy.engine import execute
from understudy.engine.evaluate.subject import find, settings_beside
from understudy.engine.loop import StoppedError
from understudy.spec import whole_file


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A finished run and one that was stopped."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def broken(folders, settings, tmp_path):
    """A function that breaks one file of a finished run, or of one that was stopped, and runs it again."""

    def run(kind, name, content):
        wanted, place = settings("kd", epochs="2"), folders / kind
        if not place.exists() and kind == "finished":
            execute(wanted, place)
        elif not place.exists():
            with pytest.raises(StoppedError):
                execute(wanted, place, display=stops_after(3))
        copy = tmp_path / "run"
        shutil.copytree(place, copy)
        if content is None:
            (copy / name).write_bytes((copy / name).read_bytes()[:2000])
        elif isinstance(content, dict):
            torch.save(content, copy / name)
        else:
            (copy / name).write_bytes(content)
        return execute(wanted, copy)

    return run


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("stopped", "checkpoint.pt", None),
        ("stopped", "checkpoint.pt", b"no checkpoint"),
        ("stopped", "checkpoint.pt", {"other": 1}),
        ("stopped", "run.json", b"{"),
        ("stopped", "run.json", b"{}"),
        ("stopped", "settings.yaml", b"\xf6"),
        ("finished", "summary.json", b""),
        ("finished", "summary.json", b"[]"),
        ("finished", "summary.json", b"{}"),
        ("finished", "run.json", b"\xff\xfe"),
    ],
)
def test_a_broken_file_is_named(broken, kind, name, content):
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        broken(kind, name, content)


@pytest.mark.parametrize("content", ["a: [", "student: {model: m}\nother: 3\n"])
def test_settings_that_cannot_be_read_are_told_beside_a_student(settings, tmp_path, content):
    execute(settings("none", epochs="1"), tmp_path / "run")
    (tmp_path / "run" / "settings.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"settings\.yaml cannot be read as a run's settings"):
        settings_beside(find(str(tmp_path / "run")))


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match=r"File too large: .*big\.bin"), whole_file(tmp_path / "big.bin") as file:
        file.write(b"some")
        raise OSError(27, "File too large")
    assert not list(tmp_path.iterdir())
