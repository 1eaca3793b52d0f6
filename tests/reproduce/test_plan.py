"""Which runs a table needs: each once, teachers first, in folders where they are found again."""

from dataclasses import replace
from pathlib import Path

import pytest

from understudy.experiments import TABLES
from understudy.models import build, save_weights
from understudy.reproduce import choose_rows
from understudy.reproduce.quick import quick_table


@pytest.fixture
def weights(tmp_path):
    save_weights(build("digits-1x6", num_classes=10, in_channels=1), tmp_path / "given.safetensors")
    return tmp_path / "given.safetensors"


def test_the_teacher_is_trained_once_before_the_rows_that_need_it(plan_small):
    teacher, *others = plan_small(seeds=(0, 1))
    assert teacher.name == "teacher small" and teacher.folder.parent.name == "teachers" and teacher.rows == ()
    assert len(others) == 6 and {run.needs for run in others} == {(teacher.folder,)}
    assert {run.settings["teacher.weights"] for run in others} == {str(teacher.folder / "student.safetensors")}


def test_rows_with_equal_settings_are_one_run_of_each_seed(plan_small):
    runs = plan_small(seeds=(0, 1))[1:]
    assert [(run.rows, run.seed) for run in runs] == [
        (rows, seed) for seed in (0, 1) for rows in (("none",), ("kd", "kd_again"), ("at",))
    ]
    assert len({run.folder for run in runs}) == 6


def test_a_default_that_is_stated_and_how_often_a_run_saves_do_not_make_another_run(plan_small, small):
    runs = plan_small(small(kd_again={"optim.lr": 0.1, "run.checkpoint_every": 7}))
    assert ("kd", "kd_again") in [run.rows for run in runs]
    runs = plan_small(small(kd_again={"optim.lr": 0.05}))
    assert ("kd",) in [run.rows for run in runs] and ("kd_again",) in [run.rows for run in runs]


def test_a_given_teacher_is_the_same_wherever_it_lies(plan_small, weights, tmp_path):
    moved = tmp_path / "elsewhere" / "moved.safetensors"
    moved.parent.mkdir()
    moved.write_bytes(weights.read_bytes())
    names = [[run.folder.name for run in plan_small(teacher_weights=file)] for file in (weights, moved)]
    assert names[0] == names[1]


def test_a_given_teacher_replaces_the_recipe(plan_small, weights):
    runs = plan_small(teacher_weights=weights)
    assert all(run.rows and run.needs == () for run in runs)
    assert {run.settings["teacher.weights"] for run in runs} == {"given.safetensors"}
    other = build("digits-1x6", num_classes=10, in_channels=1)
    save_weights(other, weights)
    assert {run.folder for run in runs}.isdisjoint(run.folder for run in plan_small(teacher_weights=weights))


def test_the_very_file_that_the_recipe_made_makes_no_other_run(plan_small, weights):
    teacher, *others = plan_small()
    teacher.folder.mkdir(parents=True)
    (teacher.folder / "student.safetensors").write_bytes(weights.read_bytes())
    given = plan_small(teacher_weights=weights)
    assert [run.folder for run in given] == [run.folder for run in others]


def test_one_file_is_not_several_teachers(plan_small, small, weights):
    table = small()
    mixed = replace(table, rows={**table.rows, "at": replace(table.rows["at"], teacher="digits-2x16")})
    with pytest.raises(ValueError, match="one teacher, and these rows have 2: small, digits-2x16"):
        plan_small(mixed, teacher_weights=weights)
    with pytest.raises(ValueError, match="there is no file nowhere.safetensors"):
        plan_small(teacher_weights=Path("nowhere.safetensors"))


def test_a_teacher_may_begin_with_another_ones_weights(plan_small):
    first, second, *rows = plan_small(TABLES["scenes15_mobilenet"])
    assert (first.name, first.needs) == ("teacher resnet50-cifar100", ())
    assert second.needs == (first.folder,)
    assert second.settings["student.weights"] == str(first.folder / "student.safetensors")
    assert {run.needs for run in rows} == {(second.folder,)}


def test_folders_do_not_depend_on_where_they_lie(plan_small, tmp_path):
    names = [[run.folder.name for run in plan_small(runs=tmp_path / place)] for place in ("here", "there/too")]
    assert names[0] == names[1]


def test_a_row_that_cannot_be_run_yet_has_no_run(plan_small, small):
    table = small()
    table = replace(table, rows={**table.rows, "at": replace(table.rows["at"], missing="a data set")})
    assert [run.rows for run in plan_small(table)] == [(), ("none",), ("kd", "kd_again")]


def test_a_row_without_a_teacher_waits_for_none(plan_small, small):
    table = small()
    row = table.rows["none"]
    alone = {key: value for key, value in row.settings.items() if not key.startswith("teacher.")}
    table = replace(table, rows={"none": replace(row, teacher=None, settings=alone)})
    assert [(run.rows, run.needs) for run in plan_small(table)] == [(("none",), ())]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_planned_also_quickly(plan_small, name):
    table = TABLES[name]
    runs = plan_small(table, seeds=(0, 1))
    can_run = [row for row, value in table.rows.items() if value.missing is None]
    assert sorted(name for run in runs for name in run.rows) == sorted(2 * can_run)
    quick = plan_small(quick_table(table), is_quick=True)
    assert len(quick) <= len(runs) and {run.folder for run in quick}.isdisjoint(run.folder for run in runs)


def test_a_setting_that_is_added_leaves_finished_runs_where_they_are(plan_small):
    # Named when there were fewer settings: what has its default does not go into the name.
    teacher = plan_small(TABLES["methods_digits"])[0]
    assert teacher.folder.name == "digits-2x16-ca637f72b2"


def test_a_row_that_begins_with_another_tables_student_has_that_run_planned_before_it(plan_small):
    runs = plan_small(TABLES["voc07mini_detection"], seeds=(0, 1))
    by_rows = {(run.rows, run.seed): run for run in runs if run.rows}
    named = {run.folder: run.name for run in runs}
    for seed in (0, 1):
        assert by_rows[("random",), seed].needs == ()
        (begun,) = by_rows[("ab+kd",), seed].needs
        assert named[begun] == f"scenes15_mobilenet/ab+kd, seed {seed}"
        assert by_rows[("ab+kd",), seed].settings["student.weights"] == str(begun / "student.safetensors")
    # Two teachers, one of which begins with the other; three students of each seed; four detectors of each.
    assert len(runs) == 2 + 2 * (3 + 4)


def test_a_row_that_begins_with_a_recipes_network_has_its_training_planned_once_before_it(plan_small):
    runs = plan_small(choose_rows("scenes15_transfer", ["cifar100_pretrained"]), seeds=(0, 1))
    (begun, *rows) = runs
    assert (begun.name, begun.rows) == ("teacher mobilenet-v1-cifar100", ())
    assert len(rows) == 2 * 4 and {run.needs for run in rows} == {(begun.folder,)}
    assert {run.settings["student.weights"] for run in rows} == {str(begun.folder / "student.safetensors")}
