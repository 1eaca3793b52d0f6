"""Rows are chosen by name, or by a part of it."""

import pytest

from understudy.reproduce import choose_rows


def test_rows_are_chosen_by_name_or_by_a_part_of_it():
    assert list(choose_rows("ab_table1", ["kd/1+1"]).rows) == ["kd/1+1"]
    assert list(choose_rows("ab_table1", ["1+1", "ab+kd/1+5"]).rows) == [
        "cross_entropy/1+1",
        "kd/1+1",
        "fitnet+kd/1+1",
        "fsp+kd/1+1",
        "at+kd/1+1",
        "jacobian+kd/1+1",
        "ab+kd/1+1",
        "ab+kd/1+5",
    ]
    assert len(choose_rows("ab_table1", []).rows) == 42


def test_a_whole_name_is_the_row_itself_and_not_those_that_have_it_as_a_part():
    assert list(choose_rows("frontier", ["ab+kd", "ofd+kd"]).rows) == [
        "ab+kd",
        "ofd+kd/onecycle",
        "selected/ofd+kd",
        "selected/ofd+kd/slow",
    ]


def test_rows_come_in_the_order_in_which_they_are_asked_for():
    assert list(choose_rows("methods_small_data", ["ofd", "kd"]).rows) == ["ofd", "kd"]


def test_an_unknown_table_or_row_is_an_error_with_the_nearest_names():
    with pytest.raises(ValueError, match="there are .*methods_small_data.*; nearest: ab_table1"):
        choose_rows("ab_tabel1", [])
    with pytest.raises(ValueError, match="has no row 7; it has .*ab.kd/20.100"):
        choose_rows("ab_table1", ["7"])
    with pytest.raises(ValueError, match="has no row ab.kd/1.6; nearest: ab.kd/1.5"):
        choose_rows("ab_table1", ["ab+kd/1+6"])
