"""The demo: four runs, a table, a picture and a page; a second call only reads."""

import io

import pytest
from rich.console import Console

from understudy import demo


@pytest.fixture
def screen():
    return Console(file=io.StringIO(), width=100)


@pytest.mark.slow
def test_the_demo_makes_what_it_says_and_ab_learns_more_than_the_student_alone(tmp_path, screen):
    page = demo.run_demo(tmp_path / "demo", 0, screen)
    printed = screen.file.getvalue()
    assert page.read_text().count("<svg") > 3 and str(page) in printed
    assert (tmp_path / "demo" / "demo.png").read_bytes().startswith(b"\x89PNG")
    accuracy = {
        name: demo.read_run(tmp_path / "demo" / name).summary["scores"]["accuracy_pct"]
        for name in ("teacher", *demo.STUDENTS)
    }
    assert all(f"{value:.2f}" in printed for value in accuracy.values())
    assert accuracy["teacher"] > 97 and accuracy["AB+KD"] > accuracy["alone"] > 70
    demo.run_demo(tmp_path / "demo", 0, screen)
    assert screen.file.getvalue().count("already finished") == 4
