"""What a method gains on the student alone, with numbers whose differences are known."""

from dataclasses import replace

import pytest

from understudy.experiments import TABLES
from understudy.experiments.grid import parts_of
from understudy.experiments.paired import paired

DIGITS = TABLES["methods_digits"]


def cells_of(name, values, table=DIGITS):
    row = table.rows[name]
    teacher = {"teacher_sha256": None if name == "none" else "a" * 64, "teacher_error_percent": 1.0}
    return [
        {**row.keys, "metric": row.metric, "seed": seed, "value": value, **teacher} for seed, value in values.items()
    ]


def drawn(cells, table=DIGITS):
    (part,) = parts_of(table, cells)
    return "\n".join(paired(part))


def test_differences_are_of_the_same_seed_and_their_spread_is_theirs():
    cells = cells_of("none", {0: 10.0, 1: 14.0, 2: 12.0}) + cells_of("kd", {2: 10.0, 0: 9.0, 1: 11.0, 3: 1.0})
    # -1, -3 and -2, though both columns vary by 4 and more; seed 3 has no student alone.
    assert "| KD | -2.00 +- 1.00, 3 of 3 |" in " ".join(drawn(cells).split())


def test_better_is_less_of_errors_and_more_of_the_rest():
    cells = cells_of("none", {0: 10.0, 1: 14.0}) + cells_of("at", {0: 11.0, 1: 13.0})
    assert "+0.00 +- 1.41, 1 of 2" in drawn(cells)
    rows = {name: replace(row, metric="accuracy_percent") for name, row in DIGITS.rows.items()}
    more = replace(DIGITS, rows=rows)
    for table, told in ((DIGITS, "0 of 2"), (more, "2 of 2")):
        grown = cells_of("none", {0: 10.0, 1: 14.0}, table) + cells_of("at", {0: 11.0, 1: 15.0}, table)
        assert f"+1.00 +- 0.00, {told}" in drawn(grown, table)


@pytest.mark.parametrize("kd", [{0: 9.0}, {1: 9.0, 2: 9.0}])
def test_one_common_seed_says_nothing(kd):
    assert drawn(cells_of("none", {0: 10.0, 1: 14.0}) + cells_of("kd", kd)) == ""


@pytest.mark.parametrize(
    "other",
    [{"data.mislabel": 0.2}, {"epochs": "199"}, {"batch_size": 7}, {"optim.lr": 0.2}, {"student.model": "digits-1x4"}],
)
def test_a_student_alone_that_differs_in_more_than_the_method_is_not_compared_with(other):
    cells = cells_of("none", {0: 10.0, 1: 14.0}) + cells_of("kd", {0: 9.0, 1: 9.0})
    changed = replace(DIGITS.rows["none"], settings={**DIGITS.rows["none"].settings, **other})
    assert drawn(cells) and drawn(cells, replace(DIGITS, rows={**DIGITS.rows, "none": changed})) == ""


def test_rows_without_a_named_method_are_students_alone_and_those_with_weights_are_none():
    table = TABLES["ab_table4"]
    cells = [
        cell
        for name in ("random_init/5", "dtl/5", "imagenet_pretrained/5")
        for cell in cells_of(name, {0: 20.0, 1: 21.0}, table)
    ]
    lines = " ".join(drawn(cells, table).split())
    assert "| DTL | +0.00 +- 0.00, 0 of 2 |" in lines and "Student trained on ImageNet" not in lines
