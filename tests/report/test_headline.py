import json
from dataclasses import replace

import pytest

from understudy.report import comparison, read_run
from understudy.report.headline import best_among, headline, outcome, tiles


def rows_of(*paths):
    return comparison([read_run(path) for path in paths])


def test_says_who_learnt_what_from_whom_and_what_came_out(four_runs):
    rows = rows_of(*four_runs)
    assert headline(rows) == "wrn16-2 learnt cifar10 from wrn22-4"
    assert outcome(rows) == (
        "Best of 3 finished runs: AB+KD reaches 88.84 %, 6.56 points more than the same student without a teacher "
        "(alone, 82.28 %); its teacher has 91.62 %. ab+kd, killed is unfinished, 2 of 6 epochs."
    )
    assert [value for _, value, _ in tiles(rows)] == ["88.84 %", "82.28 %", "91.62 %", "692 k"]


@pytest.mark.parametrize("other", [{"student": "wrn28-2"}, {"seed": 1}, {"phases": [("train", 7, {}, True)]}])
def test_a_student_alone_under_other_conditions_is_not_compared_with(folders, other):
    alone = folders.make("none", 82.28, name="alone", teacher=None, task="train", **other)
    rows = rows_of(alone, folders.make("ab+kd", 88.84))
    assert "points more" not in outcome(rows)
    assert "without a teacher" not in [what for what, _, _ in tiles(rows)]


@pytest.mark.parametrize(
    ("part", "other"),
    [("data", {"sha256": "00" * 32}), ("data", {"train_images": 50}), ("student", {"weights": "other.safetensors"})],
)
def test_a_student_alone_that_saw_other_images_or_began_elsewhere_is_not_compared_with(folders, part, other):
    alone = folders.make("none", 82.28, name="alone", teacher=None, task="train")
    facts = json.loads((alone / "run.json").read_text())
    facts[part] |= other
    (alone / "run.json").write_text(json.dumps(facts))
    assert "points more" not in outcome(rows_of(alone, folders.make("ab+kd", 88.84)))


def test_a_single_network_learnt_from_nobody(folders):
    rows = rows_of(folders.make("none", 82.28, teacher=None, task="train"))
    assert headline(rows) == "wrn16-2 learnt cifar10"
    assert outcome(rows) == "cross-entropy reaches 82.28 %."


def test_a_better_unfinished_run_is_not_called_the_best(folders):
    rows = rows_of(folders.make("kd", 80.0), folders.make("ab+kd", 99.0, finished_epochs=5))
    assert outcome(rows).startswith("KD reaches 80.00 %")


def test_nothing_measured_is_said_so(folders):
    rows = rows_of(folders.make("kd", 80.0, finished_epochs=0))
    assert outcome(rows) == "KD is unfinished, 0 of 6 epochs."
    assert tiles(rows) == []


@pytest.mark.parametrize("other", [{"data": "digits"}, {"split": "validation"}, {"headline": "map_pct"}])
def test_runs_that_were_measured_otherwise_have_no_best_one(folders, other):
    rows = rows_of(folders.make("kd", 80.0), folders.make("ab+kd", 90.0))
    assert best_among(rows) is rows[-1]
    rows[-1] = replace(rows[-1], **other)
    assert outcome(rows) == "2 runs are finished; they differ in what was measured, so none is the best."
    assert best_among(rows) is None and tiles(rows) == []
