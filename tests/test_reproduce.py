"""`understudy reproduce`: rows are run, kept, and only read the second time."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from understudy import reproduce as module
from understudy.experiments import TABLES
from understudy.models import build, save_weights
from understudy.reproduce import choose_rows, reproduce


def test_rows_are_chosen_by_name_or_by_a_part_of_it():
    assert list(choose_rows("ab_table1", ["kd/1+1"])) == ["kd/1+1"]
    assert list(choose_rows("ab_table1", ["1+1", "ab+kd/1+5"])) == [
        "cross_entropy/1+1",
        "kd/1+1",
        "fitnet+kd/1+1",
        "fsp+kd/1+1",
        "at+kd/1+1",
        "jacobian+kd/1+1",
        "ab+kd/1+1",
        "ab+kd/1+5",
    ]
    assert len(choose_rows("ab_table1", [])) == 42


def test_rows_come_in_the_order_in_which_they_are_asked_for():
    assert list(choose_rows("methods_small_data", ["ofd", "kd"])) == ["ofd", "kd"]


def test_a_row_is_run_once_and_kept_with_its_page(tmp_path, monkeypatch):
    weights = tmp_path / "quick.safetensors"
    save_weights(build("digits-1x6", num_classes=10, in_channels=1), weights)
    small = {"student.model": "digits-1x4", "teacher.model": "digits-1x6", "data.name": "digits", "data.per_class": 5}
    row = TABLES["ab_table1"].rows["ab+kd/1+1"]
    row = replace(row, settings={**row.settings, **small})
    table = replace(TABLES["ab_table1"], rows={"ab+kd/1+1": row})
    monkeypatch.setattr(module, "TABLES", {"ab_table1": table})
    screen = Console(file=io.StringIO(), width=120)
    for _ in range(2):
        reproduce(
            "ab_table1",
            dict(table.rows),
            weights,
            seed=0,
            runs=tmp_path / "runs",
            results=tmp_path / "results",
            console=screen,
        )
    assert "already finished" in screen.file.getvalue() and "published 16.39" in screen.file.getvalue()
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["ab_table1.json", "ab_table1.md"]


def test_an_unknown_table_or_row_is_an_error():
    with pytest.raises(ValueError, match="there are ab_table1, ab_table2, "):
        choose_rows("ab_table9", [])
    with pytest.raises(ValueError, match="has no row 7"):
        choose_rows("ab_table1", ["7"])
