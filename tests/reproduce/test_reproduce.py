"""Rows are run, kept, and only read the second time; what fails is told at the end."""

import importlib
import io
import itertools
import json
import math
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from rich.console import Console

from understudy.engine import stop
from understudy.experiments import TEACHERS
from understudy.experiments.cells import read_cells
from understudy.reproduce import job, measured, reproduce

pytestmark = pytest.mark.slow


def logs(folder):
    return {path.name: path.read_text() for path in folder.rglob("*.log")}


def test_a_dry_run_shows_the_plan_and_writes_nothing(carry_out, tmp_path):
    is_complete, said = carry_out(seeds=(0, 1), is_dry_run=True)
    assert is_complete and "teacher small" in said and "kd, kd_again" in said and "0 of 2" in said
    assert "4 rows, 7 runs, 0 finished; 7 of unknown length" in said
    assert list(tmp_path.iterdir()) == []


def test_rows_are_run_once_and_kept_with_their_page(carry_out, tmp_path):
    is_complete, said = carry_out("kd", "kd_again", seeds=(0, 1))
    assert is_complete and "kd, seed 1: error " in said, said
    cells = read_cells(tmp_path / "results" / "small.json")
    assert [(cell["method"], cell["seed"]) for cell in cells] == [
        (method, seed) for method in ("kd", "kd_again") for seed in (0, 1)
    ]
    assert [len(list((tmp_path / place).glob("*.log"))) for place in ("runs", "runs/teachers")] == [2, 1]
    (line,) = [line for line in said.splitlines() if "7.00" in line and "+-" in line]
    assert "kd_again" in line and "0 1" in line
    assert "After the last epoch, on the test images; the teacher's error: " in " ".join(said.split())
    assert (tmp_path / "results" / "small.md").exists()

    before, logged = (tmp_path / "results" / "small.json").read_text(), logs(tmp_path / "runs")
    is_complete, said = carry_out("kd", "kd_again", "none", seeds=(0, 1), is_dry_run=True)
    assert "2 of 2" in said and "3 rows, 5 runs, 3 finished" in said and "about" not in said
    is_complete, said = carry_out("kd", "kd_again", seeds=(0, 1))
    assert is_complete and "starts" not in said
    assert (tmp_path / "results" / "small.json").read_text() == before and logs(tmp_path / "runs") == logged


@pytest.mark.parametrize(
    ("form", "ending", "word"), [("latex", "tex", "toprule"), ("csv", "csv", "kd_again"), ("html", "html", "<table")]
)
def test_the_table_is_written_in_the_format_that_is_asked_for(small, tmp_path, form, ending, word):
    table = small()
    (tmp_path / "results").mkdir()
    path = measured.Measured(table, tmp_path / "results", is_quick=False).write(form)
    assert path.name == f"small.{ending}" and word in path.read_text()


def test_an_unknown_format_is_told_before_anything_runs(carry_out, tmp_path):
    with pytest.raises(ValueError, match="found format 'word', expected markdown, latex, csv, html"):
        carry_out("none", form="word")
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_that_nobody_knows_is_told_before_the_teacher_is_trained(small, tmp_path):
    table = small(kd={"data.name": "scenes99"})
    places = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    with pytest.raises(ValueError, match="unknown data set 'scenes99'; known are digits"):
        reproduce(table, console=Console(file=io.StringIO()), **places)
    assert reproduce(table, console=Console(file=io.StringIO()), is_dry_run=True, **places)
    assert not (tmp_path / "runs").exists()


def test_rows_whose_data_are_there_are_measured_and_where_none_are_it_is_told_at_once(small, tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_DATA", str(tmp_path / "nowhere"))
    places = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    absent, said = {"data.name": "cifar10"}, io.StringIO()
    assert not reproduce(small(at=absent), console=Console(file=said, width=400), **places)
    assert "kd, seed 0: " in said.getvalue() and "ValueError: cifar10 was not found" in said.getvalue()
    table = small(**dict.fromkeys(("none", "kd", "at", "kd_again"), absent))
    taught = {**TEACHERS["small"].settings, **absent}
    monkeypatch.setitem(TEACHERS, "small", replace(TEACHERS["small"], settings=taught))
    with pytest.raises(ValueError, match="cifar10 was not found .*reproduce: --download"):
        reproduce(table, console=Console(file=io.StringIO()), **{name: tmp_path / "new" for name in places})
    assert not (tmp_path / "new").exists()


def test_rows_that_cannot_be_run_are_told_and_no_success(small, tmp_path):
    table = small()
    lacking = replace(table, rows={"kd": replace(table.rows["kd"], missing="a set of its own")})
    with pytest.raises(ValueError, match="none of these rows of small can be run yet: a set of its own"):
        reproduce(lacking, runs=tmp_path / "runs", results=tmp_path / "results", console=Console(file=io.StringIO()))


def test_torchrun_is_refused(carry_out, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(ValueError, match="leave out torchrun, and give --workers N"):
        carry_out("none")


def test_a_run_that_fails_is_told_with_its_reason_and_the_rest_goes_on(carry_out, small, tmp_path):
    small(kd={"optim.lr": 1e30})
    is_complete, said = carry_out("kd", "at")
    assert not is_complete and "at, seed 0: error " in said
    (line,) = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert "kd, seed 0: NotFiniteError: the loss is not finite at step" in line
    (log,) = [text for name, text in logs(tmp_path / "runs").items() if name.startswith("kd-")]
    assert log.count("Traceback") == 2
    assert any("kd " in line and "not run" in line for line in said.splitlines())
    # The same code would come to the same end: it is tried again where that has changed, or where that is asked for.
    is_complete, said = carry_out("kd")
    assert not is_complete and "kd, seed 0: starts" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("failed: ")]
    note = Path(line.partition("as before; remove ")[2].partition(" to try it again")[0])
    other = {**json.loads((tmp_path / note).read_text()), "sources": "others"}
    for change in (lambda: (tmp_path / note).write_text(json.dumps(other)), (tmp_path / note).unlink):
        change()
        assert "kd, seed 0: starts" in carry_out("kd")[1]


def test_runs_of_one_process_that_see_the_same_images_read_them_once(carry_out, monkeypatch):
    read = []
    whole = job.load_data
    monkeypatch.setattr(job, "_last_data", {})
    monkeypatch.setattr(job, "load_data", lambda settings: read.append(settings.data.name) or whole(settings))
    assert carry_out("none", "kd", "at")[0]
    assert len(read) == 2  # for the teacher, which has others, and for the three rows


def test_processes_on_one_processor_do_not_divide_the_time(monkeypatch):
    module = importlib.import_module("understudy.reproduce.reproduce")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert (module._slots(None, None), module._slots(8, None), module._slots(8, "auto")) == (1, 1, 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert (module._slots(8, None), module._slots(2, None)) == (4, 2)


def test_after_the_time_limit_a_run_saves_and_the_same_command_ends_in_the_same_bits(carry_out, tmp_path, monkeypatch):
    def student(place):
        (file,) = (tmp_path / place).glob("kd-*/student.safetensors")
        return file.read_bytes()

    cut, whole = ({"runs": tmp_path / place, "results": tmp_path / place} for place in ("cut", "whole"))
    assert carry_out("none", **cut)[0] and carry_out("kd", **whole)[0]
    looks = itertools.count()
    # The clock that a run looks at after each step: the time is up at the sixth.
    clock = SimpleNamespace(time=lambda: 0.0 if next(looks) < 5 else math.inf)
    with monkeypatch.context() as limited:
        limited.setattr(stop, "time", clock)
        is_complete, said = carry_out("kd", minutes=10, **cut)
    assert not is_complete and "stopped by the time limit at step 6" in said
    assert "1 of 2 runs are left; the same command goes on with them" in said
    is_complete, said = carry_out("kd", **cut)
    assert is_complete and "going on at step 6" in said
    assert student("cut") == student("whole")


def test_runs_share_the_teachers_answers_and_learn_the_same_from_them(carry_out, small, tmp_path):
    small(kd_again={"data.mixup": 0.4})
    live, stored = ({"runs": tmp_path / place, "results": tmp_path / place} for place in ("live", "stored"))
    names, cache = ("kd", "at", "kd_again", "none"), tmp_path / "answers"
    assert carry_out(*names, **live)[0] and carry_out(*names, teacher_cache=cache, **stored)[0]
    assert len(list(cache.glob("*/view0.npy"))) > 1
    students = {path.parent.name: path.read_bytes() for path in (tmp_path / "live").glob("*/student.safetensors")}
    assert len(students) == 4
    assert students == {
        path.parent.name: path.read_bytes() for path in (tmp_path / "stored").glob("*/student.safetensors")
    }
    # A finished run is one, whoever answered in it.
    assert "4 rows, 5 runs, 5 finished" in carry_out(*names, is_dry_run=True, **stored)[1]


def test_a_run_that_another_process_holds_is_waited_for(carry_out, tmp_path):
    carry_out("none", is_dry_run=True)
    place = tmp_path / "runs" / "teachers" / ".claims"
    place.mkdir(parents=True)
    carry_out("none")
    (claim,) = place.iterdir()
    (tmp_path / "runs" / "teachers" / claim.stem / "summary.json").unlink()
    held = FileLock(claim, thread_local=False)
    held.acquire()
    threading.Timer(1.5, held.release).start()
    started = time.monotonic()
    is_complete, said = carry_out("none")
    assert is_complete and said.count("teacher small, seed") == 0 and said.count("another process is at it") == 1
    assert time.monotonic() - started > 1.0


def test_a_number_that_a_run_did_not_measure_is_told(carry_out, small, monkeypatch):
    small()
    monkeypatch.setattr(measured, "cell_of", lambda row, folder: None)
    is_complete, said = carry_out("none")
    assert not is_complete and "failed: none, seed 0: runs/none-" in said and "measured no error_percent" in said


def test_two_processes_that_write_at_the_same_time_lose_no_cell(small, plan_small, tmp_path, monkeypatch):
    table = small()

    def keep_cell(path, cell):
        there = measured.read_cells(path)
        time.sleep(0.02)
        path.write_text(json.dumps([*there, cell]))

    monkeypatch.setattr(measured, "keep_cell", keep_cell)
    monkeypatch.setattr(measured, "write_page", lambda *_: None)
    monkeypatch.setattr(measured, "cell_of", lambda row, folder: {"value": 1.0, "folder": str(folder)})
    runs = [run for run in plan_small(table, seeds=range(4)) if run.rows]
    writers = [
        threading.Thread(target=measured.Measured(table, tmp_path / "results", is_quick=False).keep, args=(run,))
        for run in runs
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_cells(tmp_path / "results" / "small.json")) == sum(len(run.rows) for run in runs) == 16


def test_a_failure_is_an_outcome_with_its_traceback_in_the_log(tmp_path):
    wrong = job.Job(settings={"student.model": "digits-0x0"}, folder=tmp_path / "run", place=tmp_path)
    outcome = job.carry_out(wrong)
    assert outcome.kind == "failed" and outcome.reason.startswith("ValueError: ")
    assert "Traceback" in (tmp_path / "run.log").read_text()
