"""Published values are the papers': every number of the printed tables is a row, and every row's number is printed.

The printed tables lie as CSV files in the folder that UNDERSTUDY_PAPER_TABLES names, or beside the data folder.
"""

import csv
import os
from pathlib import Path

import pytest

from understudy.data.names import data_folder
from understudy.experiments import TABLES
from understudy.spec import read_settings

FILES = {
    "ab_table1": "ab_table1_learning_speed",
    "ab_table2": "ab_table2_small_data",
    "ab_table3": "ab_table3_network_sizes",
    "ab_table4": "ab_table4_mit_scenes",
    "ab_table5": "ab_table5_cub",
    "ab_table6": "ab_table6_layerwise",
    "ab_table7": "ab_table7_activation_similarity",
    "ab_table8": "ab_table8_margin",
    "ab_replication": "ab_replication_learning_speed",
    "overhaul_cifar100": "overhaul_cifar100",
    "overhaul_imagenet": "overhaul_imagenet",
    "nst_table1": "nst_table1_cifar",
    "nst_table2": "nst_table2_combined",
    "nst_table3": "nst_table3_imagenet",
    "nst_table4": "nst_table4_voc_detection",
    "finetune_layer_pruning": "finetune_layer_pruning",
    "hdhe_retrieval": "hdhe_retrieval",
}
NUMBER_OF_ROWS = {
    "ab_table1": 42, "ab_table2": 42 + 21 + 14, "ab_table3": 2 * 30, "ab_table4": 40, "ab_table5": 40,
    "ab_table6": 2 * 21, "ab_table7": 2 * 16, "ab_table8": 2 * 5, "ab_replication": 12,
    "overhaul_cifar100": 54, "overhaul_imagenet": 24, "nst_table1": 16, "nst_table2": 6,
    "nst_table3": 18, "nst_table4": 126, "finetune_layer_pruning": 28,
    "hdhe_retrieval": 145,
}  # fmt: skip
# Columns for people, the value, and our own key of a second reading of the same number.
NO_KEYS = {"experiment", "metric", "value", "method_label", "transfer_loss_label", "variant_label", "column_label"}
READINGS = {"epoch_images"}
SHORT = "/2+10"  # how rows of ours at a tenth of the epochs end


def printed_tables():
    """The folder of the printed tables; skips where there is none."""
    folder = Path(os.environ.get("UNDERSTUDY_PAPER_TABLES") or data_folder().parent / "paper_tables")
    if not folder.is_dir():
        pytest.skip("the printed tables are not there; UNDERSTUDY_PAPER_TABLES names their folder")
    return folder


def number(word):
    try:
        return float(word)
    except ValueError:
        return word


def printed(name):
    with (printed_tables() / f"{FILES[name]}.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    found = [
        (frozenset((key, number(word)) for key, word in line.items() if key not in NO_KEYS and word), line["metric"],
         float(line["value"]))
        for line in lines
    ]  # fmt: skip
    assert len(set(found)) == len(lines)
    return set(found)


@pytest.mark.parametrize("name", FILES)
def test_rows_are_those_of_the_printed_table(name):
    rows = {
        (
            frozenset((key, number(value)) for key, value in row.keys.items() if key not in READINGS),
            row.metric,
            row.published,
        )
        for row_name, row in TABLES[name].rows.items()
        if not row_name.endswith(SHORT)
    }
    assert rows == printed(name)


def test_every_table_is_complete():
    assert {name: len(TABLES[name].rows) for name in FILES} == NUMBER_OF_ROWS


def test_second_readings_are_the_first_ones_runs_with_epochs_as_long_as_the_whole_set():
    rows = TABLES["ab_table2"].rows
    long = {name: row for name, row in rows.items() if "epoch_images" in row.keys}
    assert {row.keys["percent_data"] for row in long.values()} == {0.1, 1, 5}
    for name, row in long.items():
        found, first = (read_settings(options=one.settings) for one in (row, rows[name.removesuffix("/long")]))
        assert row.keys["epoch_images"] == found.data.epoch_images == 50_000 and first.data.epoch_images is None
        assert found == first.model_copy(update={"data": found.data})
        assert found.data == first.data.model_copy(update={"epoch_images": 50_000})


@pytest.mark.parametrize("name", ["ab_table2", "ab_table3", "ab_table6", "ab_table7", "ab_table8"])
def test_short_rows_stand_beside_the_whole_ones_number_and_say_at_what_budget_that_is(name):
    rows = TABLES[name].rows
    short = {row_name: row for row_name, row in rows.items() if row_name.endswith(SHORT)}
    assert short
    for row_name, row in short.items():
        whole = rows[row_name.removesuffix(SHORT)]
        images = "" if whole.keys["percent_data"] in {5, 10} else ", all images"
        assert (row.published, row.published_budget) == (whole.published, f"20+100 epochs{images}")
        settings = read_settings(options=row.settings)
        assert (settings.batch_size, settings.epochs, settings.data.percent) == (32, (2, 10), row.keys["percent_data"])
        assert read_settings(options=whole.settings).teacher == settings.teacher and row.title != whole.title
