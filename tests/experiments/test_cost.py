"""Hours of a table: products of its networks, each run once."""

from dataclasses import replace

import pytest

from understudy.experiments import TABLES, TEACHERS
from understudy.experiments.cost import MULTIPLY_ADDS, MULTIPLY_ADDS_PER_S, hours, run_seconds


def test_a_run_costs_the_student_three_times_and_the_teacher_once():
    settings = TABLES["ab_table1"].rows["ab+kd/1+5"].settings
    products = 6 * 50_000 * (3 * MULTIPLY_ADDS["wrn16-2"][0] + MULTIPLY_ADDS["wrn22-4"][0])
    assert run_seconds(settings) == pytest.approx(products / MULTIPLY_ADDS_PER_S)


def test_gradients_at_the_images_cost_both_networks_three_times_as_much():
    plain, jacobian = (run_seconds(TABLES["ab_table1"].rows[f"{name}/1+5"].settings) for name in ("kd", "jacobian+kd"))
    assert jacobian == pytest.approx(3 * (plain or 0.0))


def test_parts_of_the_images_cost_their_part_and_long_epochs_what_they_show():
    rows = TABLES["ab_table2"].rows
    whole = run_seconds(rows["ab+kd/100"].settings)
    assert whole is not None and run_seconds(rows["ab+kd/1"].settings) == pytest.approx(whole / 100)
    assert run_seconds(rows["ab+kd/1/long"].settings) == pytest.approx(whole)


def test_rows_of_one_run_cost_once():
    assert hours(TABLES["ab_replication"]) == pytest.approx(
        sum(run_seconds(TABLES["ab_table1"].rows[f"ab+kd/{budget}"].settings) for budget in
            ("1+1", "1+5", "3+12", "5+25", "10+50", "20+100")) / 3600
    )  # fmt: skip


def test_rows_that_begin_elsewhere_or_learn_from_another_teacher_are_runs_of_their_own():
    table = TABLES["methods_digits"]
    row = table.rows["kd"]
    changes: tuple[dict[str, str], ...] = ({}, {"teacher": "another"}, {"start": "another"})
    rows = {str(index): replace(row, **change) for index, change in enumerate(changes)}
    assert hours(replace(table, rows=rows)) == pytest.approx(3 * (run_seconds(row.settings) or 0.0) / 3600)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_an_estimate(name):
    assert (hours(TABLES[name]) or 0.0) > 0


def test_a_network_of_unknown_cost_has_none():
    settings = TABLES["ab_table1"].rows["ab+kd/1+5"].settings
    assert run_seconds({**settings, "student.model": "resnet26"}) is None
    assert run_seconds({**settings, "data.name": "cars32"}) is None


def test_products_grow_with_the_pixels():
    settings = TEACHERS["resnet50-cifar100"].settings
    products = 10 * 50_000 * 3 * MULTIPLY_ADDS["torchvision:resnet50"][0] * (64 / 224) ** 2
    assert run_seconds(settings) == pytest.approx(products / MULTIPLY_ADDS_PER_S)
