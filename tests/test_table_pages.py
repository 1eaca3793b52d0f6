"""Tables as documents: the committed ones are up to date, and every format says the same."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.experiments import TABLES
from understudy.experiments.cells import read_cells
from understudy.experiments.grid import most_measured, parts_of
from understudy.experiments.page import write_page
from understudy.report.table_page import save_svg
from understudy.table_pages import FORMATS, table_picture, table_text

ROOT = Path(__file__).parent.parent
DOCS, RESULTS = ROOT / "docs" / "tables", ROOT / "results"


def texts(svg):
    """The words of a picture, which do not depend on how they are set."""
    return re.findall(r">([^<>]+)</text>", svg)


def test_every_table_has_its_page_and_picture_and_no_other():
    assert {path.name for path in DOCS.iterdir()} == {f"{name}.{end}" for name in TABLES for end in ("md", "svg")}


@pytest.mark.parametrize("name", TABLES)
def test_committed_pages_are_those_of_rows_and_results(name):
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert page == table_text(TABLES[name], "markdown", RESULTS), "renew: understudy list tables --out docs/tables"


@pytest.mark.parametrize("name", ["ab_table1", "methods_small_data"])
def test_committed_pictures_are_those_of_rows_and_results(name, tmp_path):
    save_svg(
        table_picture(TABLES[name], most_measured(TABLES[name], read_cells(RESULTS / f"{name}.json"))),
        tmp_path / "new.svg",
    )
    old, new = (path.read_text(encoding="utf-8") for path in (DOCS / f"{name}.svg", tmp_path / "new.svg"))
    assert texts(old) == texts(new), "renew: understudy list tables --out docs/tables"


@pytest.mark.parametrize("form", FORMATS)
def test_measured_and_published_numbers_stand_in_every_format(form):
    text = table_text(TABLES["ab_table1"], form, RESULTS)
    assert "14.89" in text and "16.39" in text and ("AB + KD" in text or form == "csv")
    assert form == "csv" or "not run" in text


def test_csv_has_a_line_for_each_row_with_its_keys():
    lines = list(csv.DictReader(io.StringIO(table_text(TABLES["ab_table1"], "csv", RESULTS))))
    assert len(lines) == 42
    [line] = [line for line in lines if line["row"] == "ab+kd/1+1"]
    assert (line["method"], line["epochs_init"], line["published"], line["mean"], line["n"]) == (
        "ab+kd", "1", "16.39", "14.89", "1",
    )  # fmt: skip
    assert line["seeds"] == "0" and "8.39" in line["teacher_error_percent"].split()


def test_published_numbers_of_another_budget_say_so_in_every_form():
    name, budget = "methods_small_data", "20+100 epochs"
    assert all(budget in table_text(TABLES[name], form, RESULTS) for form in FORMATS)


def test_what_cannot_be_run_yet_is_said(tmp_path):
    table = TABLES["hdhe_retrieval"]
    for form in ("markdown", "html"):
        text = table_text(table, form, tmp_path)
        assert "cannot be run yet" in text and str(next(iter(table.rows.values())).missing) in text
    one = replace(table, rows={name: replace(row, missing=None) for name, row in table.rows.items()})
    assert "cannot be run yet" not in table_text(one, "markdown", tmp_path)


def test_the_html_page_brings_everything_along():
    page = table_text(TABLES["methods_digits"], "html", RESULTS)
    assert "<svg" in page and "±" in page and "(n=10)" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_an_unknown_format_is_an_error():
    with pytest.raises(ValueError, match="expected markdown, latex, csv, html"):
        table_text(TABLES["ab_table1"], "pdf", RESULTS)


def test_committed_pages_beside_the_numbers_are_those_of_the_numbers(tmp_path):
    for path in RESULTS.glob("*.json"):
        if path.stem in TABLES:
            floor = RESULTS / "floors" / path.name
            if floor.exists():
                (tmp_path / "floors").mkdir(exist_ok=True)
                (tmp_path / "floors" / path.name).write_text(floor.read_text(encoding="utf-8"), encoding="utf-8")
            write_page(TABLES[path.stem], read_cells(path), tmp_path / f"{path.stem}.md")
            assert (tmp_path / f"{path.stem}.md").read_text() == (RESULTS / f"{path.stem}.md").read_text()


def measured(row, teacher, value):
    """A cell of the row by a teacher."""
    return {
        **row.keys, "metric": row.metric, "value": value, "seed": 0, "teacher_sha256": teacher,
        "teacher_error_percent": 5.0,
    }  # fmt: skip


def two_networks():
    """Table 3 with two teachers of one network and one of the other, each short of most rows."""
    rows = TABLES["ab_table3"].rows
    names = {"depth/kd/2+10": "a", "depth/ab+kd/2+10": "a", "tiny_network/kd/2+10": "b", "channel/kd/2+10": "c"}
    return [measured(rows[name], teacher, 30.0 + place) for place, (name, teacher) in enumerate(names.items())]


def test_a_teacher_s_part_has_the_rows_of_its_own_network():
    parts = {part.teacher: part for part in parts_of(TABLES["ab_table3"], two_networks())}
    assert {teacher: set(part.grid.columns) for teacher, part in parts.items()} == {
        "a": {"depth", "depth and channel", "tiny network"},
        "b": {"depth", "depth and channel", "tiny network"},
        "c": {"channel", "same network"},
    }
    # While nothing of a network is measured its rows stand in the others' parts as not run.
    [alone] = parts_of(TABLES["ab_table3"], two_networks()[:2])
    assert len(alone.grid.columns) == 5


def test_a_picture_has_the_teacher_with_most_cells_of_each_network():
    assert [cell["teacher_sha256"] for cell in most_measured(TABLES["ab_table3"], two_networks())] == ["a", "a", "c"]


def test_teachers_of_one_network_and_two_recipes_are_both_shown():
    """The misled teacher of the faces has the same network as the other one."""
    table, cells = TABLES["faces38_selective"], read_cells(RESULTS / "faces38_selective.json")
    assert len(most_measured(table, cells)) == len(cells)
    assert all(entry.measured for part in parts_of(table, cells) for entry in part.grid.entries)


def test_a_picture_shows_the_readings_that_were_measured_side_by_side():
    table = TABLES["ab_table2"]
    cells = [measured(table.rows[name], "a", 30.0) for name in ("kd/1", "kd/5/2+10")]
    titles = [[axes.get_title() for axes in table_picture(table, own).axes] for own in ([], cells, cells[1:])]
    short = "2+10 epochs, published at 20+100 epochs"
    assert titles == [[""], ["as in the paper", short], [short]]
