"""The comparison as a file: the ending says which, and the numbers are the runs' own."""

import csv
import io

import pytest

from understudy.report import comparison, read_run
from understudy.report.text_table import check_ending, write_table


def written(paths, tmp_path, name):
    return write_table(comparison([read_run(path) for path in paths]), tmp_path / "out" / name).read_text()


def test_latex_has_a_line_for_each_run_and_escapes_what_is_special(four_runs, tmp_path):
    text = written(four_runs, tmp_path, "table.tex")
    lines = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert text.startswith("\\begin{tabular}") and "\\toprule" in text and "error \\%" in text
    assert len(lines) == 6 and "ab+kd, killed (unfinished, 2 of 6 epochs)" in text
    assert all(number in text for number in ("91.62", "82.28", "80.20", "88.84"))
    assert {line.count("&") for line in lines} == {lines[0].count("&")}


def test_markdown_has_the_means_over_seeds_below_the_runs(folders, tmp_path):
    paths = [
        folders.make(method, score + seed, seed=seed, name=f"{method} {seed}")
        for method, score in (("kd", 80.0), ("ab+kd", 85.0))
        for seed in (0, 1)
    ]
    runs, means = written(paths, tmp_path, "table.MD").strip().split("\n\n")
    assert runs.count("\n") == 6 and "| 85.50 ± 0.71" in means and means.count("\n") == 3


def test_csv_has_every_number_as_it_was_measured(four_runs, tmp_path):
    rows = list(csv.DictReader(io.StringIO(written(four_runs, tmp_path, "table.csv"))))
    assert [row["label"] for row in rows][0] == "teacher" and len(rows) == 5
    measured = rows[3]
    assert float(measured["score"]) == 88.84 and int(measured["parameters"]) == 691674
    assert measured["images_per_s"] == "initialise=217.2 train=203.5" and float(measured["wall_s"]) == 1432.5
    assert "recipe" not in measured and rows[0]["epochs"] == ""


def test_another_ending_is_told_with_those_there_are(tmp_path):
    assert check_ending(tmp_path / "REPORT.HTML").name == "REPORT.HTML"
    with pytest.raises(
        ValueError, match=r"table.text: expected a name that ends in .html, .htm, .md, .tex, .csv; near"
    ):
        check_ending(tmp_path / "table.text")
