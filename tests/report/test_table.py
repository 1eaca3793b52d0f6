import json
from statistics import mean

import pytest

from understudy.report import comparison, read_run
from understudy.report.comparable import best_among
from understudy.report.headline import outcome
from understudy.report.table import COLUMNS, columns


def rows_of(paths):
    return comparison([read_run(path) for path in paths])


def test_every_number_of_a_finished_run_is_the_one_in_its_files(folders):
    path = folders.make("ab+kd", 88.84)
    facts, summary = (json.loads((path / name).read_text()) for name in ("run.json", "summary.json"))
    row = rows_of([path])[-1]
    assert row.score == summary["scores"]["accuracy_pct"]
    assert (row.best_score, row.best_epoch) == (summary["best"]["score"], 6)
    assert row.teacher_score == summary["teacher_scores"]["accuracy_pct"] == 91.62
    assert (row.parameters, row.multiply_adds) == (691674, 101_000_000)
    assert row.agreement_fraction == pytest.approx(mean(summary["agreement"].values()))
    assert row.images_per_s == {"initialise": 217.25, "train": 203.5}
    assert (row.method, row.student, row.data) == ("AB+KD", "wrn16-2", "cifar10")
    assert (row.wall_s, row.epochs, row.seed) == (1432.5, "1+5", facts["seed"])


def test_a_best_accuracy_on_other_images_says_so(folders):
    path = folders.make("kd", 80.0)
    summary = json.loads((path / "summary.json").read_text())
    summary["best"] = {"score": 81.5, "epoch": 5, "split": "validation"}
    (path / "summary.json").write_text(json.dumps(summary))
    best = next(column for column in COLUMNS if column.heading.startswith("best"))
    assert best.cell(rows_of([path])[-1]) == "81.50 (5, validation)"
    summary["best"]["test_scores"] = {"accuracy_pct": 80.9}
    (path / "summary.json").write_text(json.dumps(summary))
    assert best.cell(rows_of([path])[-1]) == "80.90 (5, validation 81.50)"


def test_an_unfinished_run_shows_how_far_it_came(four_runs):
    row = rows_of(four_runs)[-1]
    last = [record for record in read_run(four_runs[-1]).epochs][-1]
    assert row.unfinished == "unfinished, 2 of 6 epochs"
    assert row.score == last["scores"]["test"]["accuracy_pct"]
    assert row.wall_s == pytest.approx(231.5 + 232.5)
    assert row.images_per_s == pytest.approx({"initialise": 217.25, "train": 203.5})


def test_a_run_that_measured_nothing_yet_has_no_numbers(folders):
    row = rows_of([folders.make("kd", 80.0, finished_epochs=0)])[-1]
    assert row.unfinished == "unfinished, 0 of 6 epochs"
    assert (row.score, row.best_epoch, row.wall_s, row.agreement_fraction) == (None,) * 4


def test_a_teacher_given_as_weights_comes_first_and_once(four_runs):
    rows = rows_of(four_runs)
    assert [row.is_teacher for row in rows] == [True, False, False, False, False]
    assert (rows[0].student, rows[0].score, rows[0].parameters) == ("wrn22-4", 91.62, 4302202)


@pytest.mark.parametrize("known_by", ["fingerprint", "folder"])
def test_a_run_that_taught_others_is_marked_as_their_teacher(folders, known_by):
    own = folders.make("none", 91.0, name="big", teacher=None, task="train", student="wrn22-4")
    weights = str(own / "student.safetensors")
    fingerprint = "a5" * 32 if known_by == "fingerprint" else None
    teacher = {"name": "wrn22-4", "weights": weights, "sha256": fingerprint, "scores": {"accuracy_pct": 91.0}}
    rows = rows_of([folders.make("kd", 80.0, teacher=teacher), own])
    assert [(row.label, row.is_teacher) for row in rows] == [("big", True), ("KD", False)]


def test_a_teacher_with_another_fingerprint_is_another_teacher(folders):
    own = folders.make("none", 91.0, name="big", teacher=None, task="train", student="wrn22-4")
    rows = rows_of([folders.make("kd", 80.0), own])
    assert [(row.label, row.is_teacher) for row in rows] == [("teacher", True), ("KD", False), ("big", False)]


def test_runs_of_one_name_are_told_apart_by_epochs_and_then_by_folder(folders):
    short = [("initialise", 1, {"ab": 0.003}, False), ("train", 1, {"kd": 1.0}, False)]
    paths = [
        folders.make("ab+kd", 83.0, folder="a", phases=short),
        folders.make("ab+kd", 88.0, folder="b"),
        folders.make("ab+kd", 88.5, folder="c"),
        folders.make("kd", 80.0),
    ]
    labels = [row.label for row in rows_of(paths)[1:]]
    assert labels == ["AB+KD, 1+1 epochs", "AB+KD, 1+5 epochs, b", "AB+KD, 1+5 epochs, c", "KD"]


def test_columns_that_say_nothing_are_left_out(folders):
    alone = rows_of([folders.make("none", 82.0, teacher=None, task="train")])
    headings = {column.heading for column in columns(alone)}
    assert {"run", "accuracy %", "parameters", "time", "images/s"} <= headings
    assert not headings & {"teacher %", "agreement %", "data", "split", "seed", "method"}


def test_a_column_appears_when_the_runs_differ_in_it(folders):
    paths = [folders.make("kd", 80.0), folders.make("kd", 81.0, folder="b", seed=1, split="validation")]
    headings = {column.heading for column in columns(rows_of(paths))}
    assert {"seed", "split"} <= headings


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="found no runs"):
        comparison([])


def change(path, file, **changes):
    """Put other values in a run's file, a dotted key's below its section."""
    found = json.loads((path / file).read_text())
    for key, value in changes.items():
        *sections, last = key.split("__")
        place = found
        for section in sections:
            place = place[section]
        place[last] = value
    (path / file).write_text(json.dumps(found))


def teacher_with(**changes):
    known = {"name": "wrn22-4", "parameters": 4302202, "multiply_adds": 640_000_000, "scores": {"accuracy_pct": 91.62}}
    return {**known, "weights": "teachers/wrn22-4.safetensors", **changes}


def test_the_best_epochs_student_and_one_of_several_may_be_the_teacher(folders):
    made = folders.make("none", 91.0, folder="teacher", teacher=None, task="train")
    change(made, "summary.json", best={"score": 92.0, "epoch": 5, "split": "validation", "sha256": "be" * 32})
    best = folders.make("kd", 83.0, folder="best", teacher=teacher_with(sha256="be" * 32))
    several = f"{made / 'student.safetensors'} + elsewhere/other.safetensors"
    both = folders.make("kd", 84.0, folder="both", teacher=teacher_with(sha256="c0" * 32, weights=several))
    rows = comparison([read_run(path) for path in (made, best, both)])
    assert [row.is_teacher for row in rows] == [True, False, False]


def test_a_student_that_began_with_its_teachers_weights_is_not_alone(folders):
    alone = folders.make("none", 80.0, folder="alone", teacher=None, task="train")
    selected = folders.make("none", 88.0, folder="selected")
    change(selected, "run.json", student__from_teacher=True)
    taught = folders.make("kd", 84.0)
    rows = comparison([read_run(path) for path in (alone, selected, taught)])
    assert [row.is_alone for row in rows if not row.is_teacher] == [True, False, False]
    assert "8.00 points more than the same student without a teacher" in outcome(rows)


def test_runs_on_other_test_images_have_no_best(folders):
    paths = [folders.make("none", 80.0, folder="ten", teacher=None), folders.make("kd", 99.0, folder="two")]
    change(paths[1], "run.json", data__classes=2)
    assert best_among(comparison([read_run(path) for path in paths])) is None


def test_more_images_shown_are_other_conditions(folders):
    alone, taught = folders.make("none", 80.0, folder="alone", teacher=None, task="train"), folders.make("kd", 84.0)
    facts = json.loads((alone / "run.json").read_text())
    phases = [{**phase, "images": 10**9} for phase in facts["method"]["phases"]]
    change(alone, "run.json", method__phases=phases)
    assert "points more" not in outcome(comparison([read_run(path) for path in (alone, taught)]))
