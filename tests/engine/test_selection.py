"""What a run says of the images it selects."""

import json

import pytest
import torch

from understudy.data import load
from understudy.engine import execute
from understudy.engine.selection import found_wrong


def test_precision_is_of_the_dropped_and_recall_of_the_mislabelled():
    keep = torch.tensor([True, False, False, True, False, True])
    assert found_wrong(keep, {1: 0, 2: 0, 3: 0}) == {
        "mislabelled": 3,
        "mislabelled_dropped": 2,
        "precision_pct": pytest.approx(200 / 3),
        "recall_pct": pytest.approx(200 / 3),
    }
    assert found_wrong(torch.ones(4, dtype=torch.bool), {1: 0}) == {
        "mislabelled": 1, "mislabelled_dropped": 0, "precision_pct": None, "recall_pct": 0.0,
    }  # fmt: skip


def test_a_run_writes_down_which_images_are_mislabelled_and_how_many_the_selection_finds(settings, tmp_path):
    words = ("data.mislabel=0.2", "terms.selective.keep=0.6")
    execute(settings("selective", *words, epochs=1), tmp_path / "run")
    summary, listed = (json.loads((tmp_path / "run" / n).read_text()) for n in ("summary.json", "mislabelled.json"))
    right, wrong = load("digits", percent=20).train.labels, load("digits", percent=20, mislabel=0.2).train.labels
    assert listed == [
        {"image": place, "label": str(int(wrong[place])), "right": str(int(right[place]))}
        for place in (right != wrong).nonzero()[:, 0].tolist()
    ]
    found = summary["selection"]["selective"]
    assert found["mislabelled"] == len(listed) > 50
    assert found["recall_pct"] == pytest.approx(100 * found["mislabelled_dropped"] / len(listed))
    dropped = found["images"] - found["kept"]
    assert found["precision_pct"] == pytest.approx(100 * found["mislabelled_dropped"] / dropped)


def test_a_run_with_the_labels_as_they_are_says_nothing_of_wrong_ones(settings, tmp_path):
    execute(settings("selective", epochs=1), tmp_path / "run")
    assert not (tmp_path / "run" / "mislabelled.json").exists()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary["selection"]["selective"]) == {"kept", "images"}
