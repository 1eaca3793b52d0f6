"""Any table in a minute: a few steps on a few images, and never taken for a measurement."""

import io

import pytest
from rich.console import Console

from understudy.experiments import TABLES
from understudy.experiments.cells import is_of, read_cells
from understudy.reproduce import choose_rows, reproduce
from understudy.reproduce.quick import few_images, quick_settings, quick_table
from understudy.spec.settings import DataSettings


def check_quick(table, rows, num_runs, tmp_path):
    screen = Console(file=io.StringIO(), width=200)
    places = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    assert reproduce(choose_rows(table, rows), console=screen, is_quick=True, **places), screen.file.getvalue()
    assert len(list((tmp_path / "runs" / "quick").glob("*.log"))) == num_runs
    cells = read_cells(tmp_path / "results" / "quick" / f"{table}.json")
    chosen = choose_rows(table, rows).rows.values()
    assert len(cells) == len(chosen) and all(cell["quick"] == "yes" for cell in cells)
    assert not any(is_of(cell, row) for cell in cells for row in chosen)
    assert all(cell["command"].endswith("--seed 0 --quick") for cell in cells)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["quick"]


def test_rows_of_the_digits_table_run_quickly_with_their_teacher(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_quick("methods_digits", ["none", "ab+kd", "rkd"], 3, tmp_path)


@pytest.mark.slow
def test_budgets_of_the_learning_speed_table_are_one_quick_run(tmp_path, monkeypatch, data_folder):
    data_folder("cifar10")
    monkeypatch.chdir(tmp_path)
    check_quick("ab_table1", ["cross_entropy", "kd", "ab+kd"], 3, tmp_path)


@pytest.mark.slow
def test_a_table_of_cifar100_runs_quickly_with_its_own_teacher(tmp_path, monkeypatch, data_folder):
    data_folder("cifar100")
    monkeypatch.chdir(tmp_path)
    check_quick("overhaul_cifar100", ["c/overhaul"], 1, tmp_path)


def test_a_quick_run_has_one_epoch_of_four_steps_in_each_phase():
    assert quick_settings({"method.name": "ab+kd", "epochs": "20+100"})["epochs"] == 2
    assert quick_settings({"method.name": "none", "epochs": 200})["epochs"] == 1
    assert "data.epoch_images" not in quick_settings({"data.epoch_images": 50000})
    assert quick_settings({"task": "train", "epochs": 90, "batch_size": 256})["batch_size"] == 16


def test_a_few_images_are_of_all_kinds_and_some_of_each():
    data = few_images(DataSettings(name="digits"))
    assert data.num_classes == 10
    assert data.train.labels.bincount().tolist() == data.test.labels.bincount().tolist() == [6] * 10


def test_wrong_labels_are_still_known_among_a_few_images():
    data = few_images(DataSettings(name="digits", mislabel=0.3))
    assert 5 < len(data.mislabelled) < len(data.train)
    found = [int(data.train.labels[place]) for place in data.mislabelled]
    assert all(label != right for label, right in zip(found, data.mislabelled.values(), strict=True))


def test_the_title_of_a_quick_table_says_so():
    assert "quick" in quick_table(TABLES["ab_table1"]).title
