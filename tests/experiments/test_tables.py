"""Published tables as data: what is kept of a run, and the page made from it."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.experiments import TABLES
from understudy.experiments.cells import OPTIONS, cell_of, command_of, is_of, keep_cell, read_cells
from understudy.experiments.page import write_page
from understudy.experiments.value import value_of
from understudy.methods import METHODS
from understudy.spec import read_settings

TABLE1 = TABLES["ab_table1"]
ROWS = TABLE1.rows
RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture
def finished(tmp_path):
    """A function that writes the folder of a finished run with this error and seed."""

    def write(error_pct, seed=0, teacher="a" * 64, split="test"):
        folder = tmp_path / f"run-{seed}-{teacher[:1]}"
        folder.mkdir(exist_ok=True)
        run = {
            "seed": seed,
            "teacher": {"sha256": teacher, "scores": {"error_pct": 8.4}, "weights": "somewhere/teacher.safetensors"},
            "student": {"weights": None},
            "data": {"sha256": "d" * 64},
            "precision": {"dtype": "bfloat16", "device": "cpu", "compile": True, "channels_last": True},
            "versions": {"torch": "2.15.0"},
            "hardware": {"cores": 2},
        }
        phases = [{"name": "train", "epochs": 2, "train_s": 100.0, "images": 99840, "images_per_s": 437.0}]
        summary = {
            "scores": {"error_pct": error_pct, "top5_error_pct": 1.5},
            "headline": "accuracy_pct",
            "best": {"score": 99.0, "epoch": 1, "split": split},
            "student_sha256": "s",
            "wall_s": 1.0,
            "agreement": None,
            "phases": phases,
        }
        (folder / "run.json").write_text(json.dumps(run))
        (folder / "summary.json").write_text(json.dumps(summary))
        return folder

    return write


def test_the_small_data_table_has_every_method_and_the_papers_values():
    table = TABLES["methods_small_data"]
    rows = table.rows
    # ab+dtl is for a teacher of other classes; fitnet_joint and fitnet+kd+nst are another paper's set-up.
    assert set(METHODS) - set(rows) == {"ab+dtl", "fitnet_joint", "fitnet+kd+nst"}
    published = {name: row.published for name, row in rows.items() if row.published}
    assert published == {
        "none": 21.76, "kd_only": 21.21, "fitnet+kd": 21.42, "fsp+kd": 20.80, "at+kd": 15.61, "jacobian+kd": 15.03,
        "ab+kd": 13.09,
    }  # fmt: skip


def test_another_budgets_published_values_are_marked_as_such(finished, tmp_path):
    table = TABLES["methods_small_data"]
    rows = table.rows
    cell = cell_of(rows["ab+kd"], finished(30.0))
    assert cell["command"].endswith("--epochs 12 --seed 0 --batch-size 32 data.percent=10 run.eval_every=12")
    assert (cell["published"], cell["published_budget"]) == (13.09, "20+100 epochs")
    write_page(table, [cell], tmp_path / "page.md")
    text = " ".join((tmp_path / "page.md").read_text().split())
    assert "| AB + KD | **30.00** (13.09) |" in text and "(published, at 20+100 epochs)" in text
    assert "| OFD | not run |" in text and "12 epochs in all" in text


def test_a_cell_says_what_was_measured_and_how_to_do_it_again(finished):
    cell = cell_of(ROWS["ab+kd/1+1"], finished(14.964))
    assert (cell["value"], cell["published"], cell["metric"]) == (14.96, 16.39, "error_percent")
    assert (cell["method"], cell["teacher"], cell["student"]) == ("ab+kd", "wrn_22_4", "wrn_16_2")
    assert cell["command"] == (
        "understudy distill --teacher wrn22-4 --teacher-weights teacher.safetensors --student wrn16-2 "
        "--method ab+kd --data cifar10 --epochs 1+1 --seed 0"
    )


def test_a_cell_says_what_its_student_began_with(finished):
    folder = finished(14.0)
    run = json.loads((folder / "run.json").read_text())
    run |= {"teacher": None, "student": {"weights": "somewhere/runs/ofd-seed0/student.safetensors"}}
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "weights.json").write_text(json.dumps({"student.weights": "f" * 64}))
    row = TABLES["scenes15_transfer"].rows["cifar100_pretrained/5"]
    cell = cell_of(replace(row, metric="error_percent"), folder)
    assert "--student mobilenet-v1 --weights ofd-seed0/student.safetensors" in cell["command"]
    assert cell["start_sha256"] == "f" * 64 and is_of(cell, replace(row, metric="error_percent"))


def test_the_best_epoch_is_kept_where_it_was_chosen_on_held_out_images(finished):
    cells = [cell_of(ROWS["ab+kd/1+1"], finished(15.0, split=split)) for split in ("test", "validation")]
    assert cells[0]["best"] is None and cells[0]["headline"] == "accuracy_pct"
    assert cells[1]["best"] == {"accuracy_pct": 99.0, "epoch": 1}


def test_a_metric_is_read_from_the_scores(finished):
    rows = TABLES["overhaul_imagenet"].rows
    assert cell_of(rows["mobilenet/overhaul/top5"], finished(30.0))["value"] == 1.5
    assert cell_of(TABLES["ab_replication"].rows["error/1+1"], finished(30.0))["value"] == 30.0
    layers = {"first": 0.5, "second": 0.6, "third": 0.7}
    row = TABLES["ab_table7"].rows["ab/layer2"]
    assert value_of(row, {"scores": {}, "agreement": layers}) == 60.0
    assert value_of(row, {"scores": {}, "agreement": None}) is None


def words_of(command, row):
    """Setting -> value of a command; numbers as numbers, without files, and without a teacher that is only measured."""
    flags, words = {value: key for key, value in OPTIONS.items()}, shlex.split(command)[2:]
    pairs = [(flags[word], words[place + 1]) for place, word in enumerate(words) if word in flags]
    pairs += [tuple(word.split("=", 1)) for word in words if "=" in word]
    unread = {"teacher.weights", "student.weights", "run.eval_every", *([] if row.teacher else ["teacher.model"])}
    return {key: _number(value) for key, value in pairs if key not in unread}


def _number(word):
    try:
        return float(word)
    except ValueError:
        return word


@pytest.mark.parametrize("name", [name for name in TABLES if (RESULTS / f"{name}.json").exists()])
def test_what_is_measured_is_of_the_rows_as_they_are(name):
    """A number stays beside a row only as long as the row's settings are those of its run."""
    for cell in read_cells(RESULTS / f"{name}.json"):
        [row] = [row for row in TABLES[name].rows.values() if is_of(cell, row)]
        run = {"seed": cell["seed"], "teacher": None, "student": {}}
        wanted = words_of(command_of(row, run), row)
        assert words_of(cell["command"], row) == wanted, f"measure {name} again: {cell['command']}"


def test_a_teachers_own_row_is_a_run_of_train():
    run = {"seed": 0, "teacher": None, "student": {"weights": None}}
    command = command_of(TABLES["nst_table1"].rows["teacher/cifar10"], run)
    assert command.startswith("understudy train --model preresnet1001 --data cifar10 --epochs 164 --seed 0")


@pytest.mark.parametrize("name", TABLES)
def test_a_shell_reads_the_rows_settings_out_of_its_command(name):
    for row in (row for row in TABLES[name].rows.values() if row.missing is None):
        command = command_of(row, {"seed": 0, "teacher": None, "student": {}})
        words = [word for word in shlex.split(command)[1:] if "=" in word]
        told = {key: value for key, value in row.settings.items() if key in OPTIONS or key == "task"}
        assert read_settings(options=told, words=words) == read_settings(options=row.settings)
        assert all(word.startswith("'") for word in command.split() if "(" in word)


def test_an_unfinished_run_has_no_cell(tmp_path):
    assert cell_of(ROWS["ab+kd/1+1"], tmp_path) is None


def test_a_cell_replaces_its_earlier_self_and_no_other(finished, tmp_path):
    path = tmp_path / "results" / "t.json"
    row = ROWS["ab+kd/1+1"]
    for folder in (finished(15.0), finished(16.0, seed=1), finished(14.0, teacher="b" * 64), finished(17.0)):
        keep_cell(path, cell_of(row, folder))
    assert sorted(cell["value"] for cell in read_cells(path)) == [14.0, 16.0, 17.0]


def test_the_page_shows_measured_beside_published_and_what_was_not_run(finished, tmp_path):
    cells = [cell_of(ROWS["ab+kd/1+1"], finished(15.0)), cell_of(ROWS["ab+kd/1+1"], finished(17.0, seed=1))]
    write_page(TABLE1, cells, tmp_path / "page.md")
    assert "floor" not in (tmp_path / "page.md").read_text()
    floor = {"method": "ab+kd", "phase": "train", "images_per_s": 489, "floor_images_per_s": 502, "ratio": 1.03}
    (tmp_path / "floors").mkdir()
    (tmp_path / "floors" / "page.json").write_text(json.dumps([{**floor, "ratio_range": [1.0, 1.09]}]))
    write_page(TABLE1, cells, tmp_path / "page.md")
    text = " ".join((tmp_path / "page.md").read_text().split())
    assert "| ab+kd | train | 489 | 502 | 1.03 (1.00 to 1.09) |" in text
    assert "| AB + KD | **16.00** +- 1.41, n=2 (16.39) | not run (11.16)" in text
    assert "8.40 % error" in text and "437" in text
    # A teacher is one by its fingerprint, whatever another machine measures of it.
    elsewhere = {**(cells[1] or {}), "teacher_error_percent": 8.39}
    write_page(TABLE1, [cells[0], elsewhere], tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text().count("## Teacher with 8.39 to 8.40 % error") == 1


def test_the_page_says_how_many_wrong_labels_each_selection_left_out(finished, tmp_path):
    table, folder = TABLES["faces38_selective"], finished(10.0)
    summary = json.loads((folder / "summary.json").read_text())
    found = {"kept": 171, "images": 228, "mislabelled": 46, "mislabelled_dropped": 40, "precision_pct": 70.175,
             "recall_pct": 86.957}  # fmt: skip
    (folder / "summary.json").write_text(json.dumps({**summary, "selection": {"selective": found}}))
    cell = cell_of(table.rows["wrong/0.75"], folder)
    assert cell["selection"] == {"selective": found}
    assert "data.mislabel=0.2" in cell["command"] and "terms.selective.keep=0.75" in cell["command"]
    write_page(table, [cell], tmp_path / "page.md")
    text = " ".join((tmp_path / "page.md").read_text().split())
    assert "| 75 % selected, 20 % wrong | selective | 57 of 228 | 40 of 46 | 70.2 | 87.0 |" in text
    assert "| 75 % selected | not run | **10.00** | not run |" in text


def test_a_page_of_runs_that_select_nothing_says_nothing_of_selections(finished, tmp_path):
    write_page(TABLES["ab_table1"], [cell_of(ROWS["ab+kd/1+1"], finished(15.0))], tmp_path / "page.md")
    assert "mislabelled" not in (tmp_path / "page.md").read_text()
