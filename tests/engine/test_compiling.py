"""Compiled code is kept where the next run finds it, and a run says how long compiling took."""

import json
import os
import time
from pathlib import Path

import torch

from understudy.engine import execute
from understudy.engine.compile_cache import VARIABLE, keep_compiled_code

WAIT_S = 0.2


def kept_in(monkeypatch, **variables):
    """The folder that torch is told, and what was said, in an environment without it but with these."""
    # Set first, so that it is put back whatever the function does.
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    said = []
    keep_compiled_code(said.append)
    return os.environ.get(VARIABLE), said


def test_compiled_code_is_kept_in_the_users_cache_folder(monkeypatch, tmp_path):
    folder, said = kept_in(monkeypatch, XDG_CACHE_HOME=tmp_path)
    assert folder == str(tmp_path / "understudy" / "torchinductor") and Path(folder).is_dir() and said == []
    folder, _ = kept_in(monkeypatch, XDG_CACHE_HOME="", HOME=tmp_path)
    assert folder == str(tmp_path / ".cache" / "understudy" / "torchinductor")


def test_a_folder_that_the_environment_names_stays(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    keep_compiled_code(print)
    assert os.environ[VARIABLE] == str(tmp_path / "own")


def test_a_cache_that_cannot_be_written_is_told_and_stops_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    folder, said = kept_in(monkeypatch, XDG_CACHE_HOME=tmp_path / "file")
    assert folder is None
    assert len(said) == 1 and "not kept for later runs" in said[0] and VARIABLE in said[0]


def slow_at_first(function, **_):
    """In place of torch.compile: the function as it is, with a wait before it is called first."""
    waits_s = iter([WAIT_S])

    def call(*arguments, **options):
        time.sleep(next(waits_s, 0.0))
        return function(*arguments, **options)

    return call


def test_a_compiled_run_says_what_compiling_took_in_each_phase(settings, tmp_path, monkeypatch):
    # What is compiled does not matter here, and compiling takes a minute: the first step only waits a little.
    monkeypatch.setattr(torch, "compile", slow_at_first)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    summary = execute(settings("ab+kd", "run.compile=on"), tmp_path / "on").summary
    log = [json.loads(line) for line in (tmp_path / "on" / "metrics.jsonl").read_text().splitlines()]
    found = [line for line in log if line["kind"] == "compile"]
    assert [line["phase"] for line in found] == ["initialise", "train"]
    assert found[0]["step"] == 1 and all(line["compile_s"] >= WAIT_S for line in found)
    assert [phase["compile_s"] for phase in summary["phases"]] == [round(line["compile_s"], 1) for line in found]
    assert all(phase["compile_s"] <= phase["train_s"] + 0.1 for phase in summary["phases"])
    summary = execute(settings("ab+kd"), tmp_path / "off").summary
    assert all(phase["compile_s"] is None for phase in summary["phases"])
    assert '"compile"' not in (tmp_path / "off" / "metrics.jsonl").read_text()
