"""What the documentation says is what the code does."""

import re
from pathlib import Path

import pytest
import torch

from understudy.distiller import Distiller
from understudy.engine import execute
from understudy.engine.listings import methods_page
from understudy.methods import METHODS, adjust
from understudy.models import build
from understudy.spec import read_settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def teacher_here(tmp_path, monkeypatch):
    """An empty folder to work in but for a teacher's run, as the pages have it."""
    monkeypatch.chdir(tmp_path)
    teacher = {"task": "train", "student.model": "digits-2x16", "data.name": "digits", "epochs": 3}
    execute(read_settings(options=teacher), tmp_path / "runs" / "teacher")
    return tmp_path


def test_the_page_of_methods_is_the_generated_one():
    written = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert written == methods_page(), "run: understudy list methods --markdown > docs/methods.md"


def test_the_readme_names_every_method():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in METHODS if f"`{name}`" not in readme] == []


@pytest.mark.slow
def test_the_composed_method_trains(teacher_here, capsys):
    page = (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert program is not None
    names: dict = {"__name__": "__main__"}
    exec(compile(program[1], "docs/compose.md", "exec"), names)
    assert float(capsys.readouterr().out) == names["run"].accuracy_pct > 50.0
    # As the page says, its term is changed as any other's.
    assert adjust(names["METHOD"], terms={"mine": {"form": "authors"}}).terms[0].options == {"form": "authors"}
    networks = [build(name, num_classes=10, in_channels=1) for name in ("digits-2x8", "digits-2x16")]
    method = adjust(names["METHOD"], terms={"mine": {"weight": 3.0, "form": "authors"}})
    Distiller(*networks, method, torch.zeros(2, 1, 8, 8))


@pytest.mark.slow
def test_the_programs_of_the_page_on_python_run_one_after_the_other(teacher_here, capsys):
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    names: dict = {"__name__": "__main__"}
    for program in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(program, "docs/python.md", "exec"), names)
    assert {path.name for path in (teacher_here / "runs").iterdir()} == {"teacher", "student", "kd", "mine", "taught"}
    assert (teacher_here / "runs/mine/export/model.safetensors").exists()
    assert "AB + KD" in capsys.readouterr().err


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [name for name in pages if f"({name})" not in index] == []
