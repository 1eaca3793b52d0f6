import pytest

from understudy.report.quantities import count, duration, fraction_as_percent, percent, rate


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (691_674, "692 k"), (999_600, "1.00 M"), (4_302_202, "4.30 M"),
     (101e6, "101 M"), (99_960_000, "100 M"), (1.8e9, "1.80 G"), (None, "–")],
)  # fmt: skip
def test_counts_have_three_figures(value, words):
    assert count(value) == words


@pytest.mark.parametrize(
    ("value_s", "words"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (230, "3 min 50 s"), (3599.4, "59 min 59 s"),
     (3599.6, "1 h 00 min"), (7500, "2 h 05 min"), (None, "–")],
)  # fmt: skip
def test_times_have_two_units_and_never_sixty_of_one(value_s, words):
    assert duration(value_s) == words


def test_what_was_not_measured_is_a_dash_and_zero_is_not():
    assert (percent(None), rate(None), fraction_as_percent(None)) == ("–", "–", "–")
    assert (percent(0.0), rate(0.0), fraction_as_percent(0.0)) == ("0.00", "0.0", "0.0")
    assert (percent(88.844), rate(20345.6), fraction_as_percent(0.9314)) == ("88.84", "20,346", "93.1")
