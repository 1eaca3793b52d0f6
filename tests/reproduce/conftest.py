"""A table of real runs that take a second each, and what came of them."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from understudy.experiments import TABLES, TEACHERS, TeacherRecipe
from understudy.reproduce import choose_rows, measured, plan, reproduce, rows

SMALL = {"student.model": "digits-1x4", "teacher.model": "digits-1x6", "data.name": "digits"}
SHORT = {**SMALL, "epochs": 4, "batch_size": 25, "run.eval_every": 4, "run.log_every": 1, "run.checkpoint_every": 2}


@pytest.fixture
def small(monkeypatch):
    """The table `small`: none, kd, at and kd_again, which is the same run as kd, with a teacher of one epoch.

    A function that changes rows (name=settings) and returns the table.
    """
    whole = TABLES["methods_digits"]
    monkeypatch.setitem(
        TEACHERS,
        "small",
        TeacherRecipe(settings={"task": "train", "student.model": "digits-1x6", "data.name": "digits", "epochs": 1}),
    )

    def make(**changes):
        chosen = {name: whole.rows[name] for name in ("none", "kd", "at")}
        chosen["kd_again"] = replace(chosen["kd"], keys={**chosen["kd"].keys, "method": "kd_again"}, published=7.0)
        small_rows = {
            name: replace(row, teacher="small", settings={**row.settings, **SHORT, **changes.get(name, {})})
            for name, row in chosen.items()
        }
        table = replace(whole, name="small", rows=small_rows)
        for module in (rows, measured):
            monkeypatch.setattr(module, "TABLES", {"small": table})
        return table

    return make


@pytest.fixture
def carry_out(small, tmp_path, monkeypatch):
    """A function that reproduces rows of the small table in an empty folder: (whether all is there, what was said)."""
    monkeypatch.chdir(tmp_path)

    def run(*names, **wishes):
        if "small" not in rows.TABLES:
            small()
        screen = Console(file=io.StringIO(), width=200)
        places = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
        is_complete = reproduce(choose_rows("small", names), console=screen, **{**places, **wishes})
        return is_complete, screen.file.getvalue()

    return run


@pytest.fixture
def plan_small(small, tmp_path, monkeypatch):
    """A function that plans the small table, or rows of another one."""
    monkeypatch.chdir(tmp_path)

    def make(table=None, **wishes):
        wanted = {"seeds": (0,), "runs": tmp_path / "runs", "teacher_weights": None, **wishes}
        return plan.plan(table or small(), **wanted)

    return make
