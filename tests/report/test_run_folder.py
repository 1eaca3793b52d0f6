import json
import re

import pytest

from understudy.report import read_run, read_runs


def test_a_finished_run_is_read_as_it_stands_on_disk(folders):
    path = folders.make("ab+kd", 88.84)
    run = read_run(path)
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert run.facts == json.loads((path / "run.json").read_text())
    assert run.summary == json.loads((path / "summary.json").read_text())
    assert run.settings == (path / "settings.yaml").read_text()
    assert list(run.epochs) == [line for line in lines if line["kind"] == "epoch"]
    assert list(run.steps) == [line for line in lines if line["kind"] == "steps"]
    assert (run.num_epochs, run.num_epochs_done, run.steps_per_epoch) == (6, 6, 390)


def test_a_run_killed_before_its_first_epoch_ended_has_no_summary_and_planned_steps(folders):
    run = read_run(folders.make("kd", 80.0, finished_epochs=0, steps_behind=100))
    assert run.summary is None
    assert (len(run.steps), run.num_epochs_done, run.steps_per_epoch) == (2, 0, 390)


@pytest.mark.parametrize("ending", ["", '{"kind": "ep', '{"kind": "epoch", "terms": {"loss"'])
def test_a_last_line_that_was_being_written_is_left_out(folders, ending):
    path = folders.make("kd", 80.0)
    whole = read_run(path)
    (path / "metrics.jsonl").write_text((path / "metrics.jsonl").read_text() + ending)
    assert (read_run(path).epochs, read_run(path).steps) == (whole.epochs, whole.steps)


@pytest.mark.parametrize("broken", ['{"kind": "ep', "[1, 2]", '{"kind": "surprise"}', '{"step": 3}'])
def test_a_broken_line_is_named_with_its_file_and_number(folders, broken):
    path = folders.make("kd", 80.0)
    log = path / "metrics.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines[:3], broken, *lines[3:]]) + "\n")
    with pytest.raises(ValueError, match=rf"{re.escape(str(log))}, line 4: "):
        read_run(path)


def test_a_broken_last_line_with_its_line_end_is_an_error(folders):
    path = folders.make("kd", 80.0, finished_epochs=0)
    (path / "metrics.jsonl").write_text('{"kind": "ep\n')
    with pytest.raises(ValueError, match="line 1: not JSON"):
        read_run(path)


def test_a_folder_without_a_run_says_what_it_found_and_where_runs_are(folders):
    folders.make("kd", 80.0)
    with pytest.raises(ValueError, match=r"found kd; expected run.json, .*did you mean .*kd\?"):
        read_run(folders.root)


def test_a_misspelt_folder_gets_the_nearest_one(folders):
    folders.make("kd", 80.0, folder="first-run")
    with pytest.raises(ValueError, match=r"found no such folder; .*did you mean .*first-run\?"):
        read_run(folders.root / "frist-run")


def test_a_run_file_that_lacks_something_says_what(folders):
    path = folders.make("kd", 80.0)
    facts = json.loads((path / "run.json").read_text())
    del facts["student"]
    (path / "run.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="expected student as well"):
        read_run(path)
    (path / "run.json").write_text("{\n,")
    with pytest.raises(ValueError, match="run.json, line 2: not JSON"):
        read_run(path)


def test_a_whole_last_line_counts_even_without_its_line_end(folders):
    path = folders.make("kd", 80.0)
    log = path / "metrics.jsonl"
    whole = read_run(path)
    log.write_text(log.read_text().rstrip("\n"))
    assert read_run(path).epochs == whole.epochs


def test_a_run_that_has_not_logged_yet_is_read_and_a_list_is_no_run(folders):
    path = folders.make("kd", 80.0, finished_epochs=0)
    (path / "metrics.jsonl").unlink()
    assert (read_run(path).epochs, read_run(path).steps) == ((), ())
    (path / "run.json").write_text("[]")
    with pytest.raises(ValueError, match="run.json: found list; expected one JSON object"):
        read_run(path)


def test_what_lies_beside_runs_is_left_out_and_named(folders):
    first, second = folders.make("kd", 80.0), folders.make("none", 70.0)
    (folders.root / "kd.log").write_text("")
    (folders.root / "teachers").mkdir()
    found, others = read_runs(sorted(folders.root.iterdir()))
    assert [run.folder for run in found] == [first, second] and [path.name for path in others] == ["kd.log", "teachers"]
    with pytest.raises(ValueError, match="expected run.json"):
        read_runs([folders.root / "teachers"])


def test_a_folder_that_is_not_there_is_a_mistake_and_not_left_out(folders):
    with pytest.raises(ValueError, match=r"kdd is not a run folder: found no such folder; .*kd"):
        read_runs([folders.make("kd", 80.0), folders.root / "kdd"])
