"""Runs of several seeds: which belong together, their mean and deviation, and the gain on the student alone."""

import io
import json
import statistics

import pytest
from rich.console import Console

from understudy.report import comparison, print_table, read_run, write_page
from understudy.report.headline import outcome, tiles
from understudy.report.seeds import best_over_seeds, over_seeds

ALONE, BY_KD, BY_AB = (82.0, 83.0, 81.0), (84.0, 83.5, 84.5), (90.0, 88.0)


@pytest.fixture
def runs(folders):
    """Three seeds alone and by KD, two by AB+KD, and the luckiest one of another recipe."""
    made = []
    for method, scores in (("none", ALONE), ("kd", BY_KD), ("ab+kd", BY_AB)):
        for seed, score in enumerate(scores):
            own = {"teacher": None, "task": "train"} if method == "none" else {}
            made.append(folders.make(method, score, folder=f"{method}-{seed}", seed=seed, **own))
    return [read_run(path) for path in made]


def test_runs_that_differ_in_their_seed_alone_have_a_mean_and_a_deviation(runs):
    alone, kd, ab = over_seeds(comparison(runs))
    assert [(one.label, len(one.rows)) for one in (alone, kd, ab)] == [("cross-entropy", 3), ("KD", 3), ("AB+KD", 2)]
    assert kd.mean == pytest.approx(84.0) and kd.deviation == pytest.approx(statistics.stdev(BY_KD))
    assert best_over_seeds([alone, kd, ab]) is ab


def test_gains_are_of_equal_seeds(runs):
    alone, kd, ab = over_seeds(comparison(runs))
    assert alone.gain is None
    # 2, 0.5 and 3.5; 8 and 5.
    assert (kd.gain.mean, kd.gain.deviation, kd.gain.better, kd.gain.seeds) == pytest.approx((2.0, 1.5, 3, 3))
    assert (ab.gain.mean, ab.gain.deviation, ab.gain.better, ab.gain.seeds) == pytest.approx((6.5, 4.5**0.5, 2, 2))
    assert kd.cells == ("KD", "3", "84.00 ± 0.50", "+2.00 ± 1.50, better in 3 of 3")


def test_one_seed_has_no_mean_and_another_recipe_does_not_belong_to_it(folders):
    first, second = folders.make("kd", 84.0, folder="a"), folders.make("kd", 85.0, folder="b", seed=1)
    settings = second / "settings.yaml"
    settings.write_text(settings.read_text().replace("lr: 0.1", "lr: 0.2"))
    assert over_seeds(comparison([read_run(first), read_run(second)])) == []
    assert over_seeds(comparison([read_run(first)])) == []


def test_the_seed_in_the_settings_is_the_only_one_that_may_differ(folders):
    paths = [folders.make("kd", 84.0 + seed, folder=f"{seed}", seed=seed) for seed in range(2)]
    for seed, path in enumerate(paths):
        (path / "settings.yaml").write_text(f"method: kd\nrun:\n  seed: {seed}\n  device: cpu\ndata: {{seed: 0}}\n")
    assert len(over_seeds(comparison([read_run(path) for path in paths]))) == 1
    (paths[1] / "settings.yaml").write_text("method: kd\nrun:\n  seed: 1\n  device: cpu\ndata: {seed: 1}\n")
    assert over_seeds(comparison([read_run(path) for path in paths])) == []


def test_the_best_is_the_best_mean_and_not_the_luckiest_run(folders, runs):
    lucky = read_run(folders.make("kd", 99.0, folder="lucky", phases=[("train", 7, {"kd": 1.0}, True)]))
    (lucky.folder / "settings.yaml").write_text("method: kd\nepochs: 7\n")
    rows = comparison([*runs, read_run(lucky.folder)])
    assert outcome(rows) == (
        "Best of 3 recipes with several seeds each: AB+KD reaches 89.00 ± 1.41 % in 2 seeds; beside the same student "
        "without a teacher +6.50 ± 2.12, better in 2 of 2. 1 run has one seed and no part in this."
    )
    assert tiles(rows)[0] == ("mean of 2 seeds", "89.00 %", "AB+KD, ± 1.41")


def test_the_means_stand_in_the_terminal_and_on_the_page(runs, tmp_path):
    screen = Console(width=120, record=True, file=io.StringIO())
    print_table(comparison(runs), screen)
    told = "KD 3 84.00 ± 0.50 +2.00 ± 1.50, better in 3 of 3"
    assert told in " ".join(screen.export_text().split())
    text = write_page(runs, tmp_path / "page.html").read_text()
    assert "Over several seeds" in text and "+2.00 ± 1.50, better in 3 of 3" in text
    assert "Over several seeds" not in write_page(runs[:1], tmp_path / "one.html").read_text()


def test_where_something_lies_or_what_computed_makes_no_other_recipe_but_images_do(folders):
    paths = [folders.make("kd", 84.0, folder=f"kd-{seed}", seed=seed) for seed in range(3)]
    for place, device in zip(paths, ("cuda:0", "cuda:1", "cuda:0"), strict=True):
        (place / "settings.yaml").write_text(f"method: kd\nrun:\n  device: {device}\n  seed: 1\n")
    found = [read_run(path) for path in paths]
    (kd,) = over_seeds(comparison(found))
    assert len(kd.rows) == 3
    facts = json.loads((paths[2] / "run.json").read_text())
    facts["data"]["sha256"] = "another set of the same name"
    (paths[2] / "run.json").write_text(json.dumps(facts))
    (kd,) = over_seeds(comparison([read_run(path) for path in paths]))
    assert len(kd.rows) == 2
