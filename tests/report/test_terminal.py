import io

import pytest
from rich.console import Console

from understudy.report import comparison, print_table, read_run


def printed(paths, width):
    stream = io.StringIO()
    print_table(comparison([read_run(path) for path in paths]), Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_console_and_accuracies_are_whole(four_runs, width):
    text = printed(four_runs, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert all(name in text for name in ("teacher", "alone", "AB+KD", "ab+kd, killed"))
    for number in ("91.62", "82.28", "80.20", "88.84"):
        # 30 columns have room for the names alone: no number is begun there.
        assert number in text if width >= 40 else number[:2] not in text


def test_the_less_important_columns_go_first(four_runs):
    assert "images/s" in printed(four_runs, 200)
    at_100 = printed(four_runs, 100)
    assert "images/s" not in at_100
    assert all(word in at_100 for word in ("error", "agreement", "epochs", "parameters", "time"))
    assert "student" not in printed(four_runs, 50)


def test_names_in_square_brackets_are_no_markup(folders):
    path = folders.make("kd", 80.0, name="[red]sly[/red]")
    assert "[red]sly[/red]" in printed([path], 100)
