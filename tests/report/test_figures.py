import json
import re
from xml.etree import ElementTree

import pytest

from understudy.report import read_run
from understudy.report.figures import (
    MOST_POINTS,
    agreement_chart,
    decades,
    legend_mark,
    score_chart,
    term_charts,
    thinned,
    variation_chart,
)
from understudy.report.palette import DARK, LIGHT, looks
from understudy.report.progress import measured_scores

pytestmark = pytest.mark.slow


def words_in(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("text")]


def num_markers(svg, colour):
    """How many markers stand in this colour: one for each point drawn."""
    uses = ElementTree.fromstring(svg).iter("use")
    return sum(f"fill: var(--{colour})" in use.get("style", "") for use in uses)


def with_weights(path, changes):
    """The run in this folder with records of how far its blocks came: the last one is what counts."""
    lines = [
        {"kind": "weights", "phase": "train", "epoch": epoch, "step": 390 * epoch,
         "blocks": {block: {"change": 1.0, "per_weight": 1e-6, "relative": part * relative if relative else relative}
                    for block, relative in changes.items()}}
        for epoch, part in ((1, 0.1), (2, 1.0))
    ]  # fmt: skip
    with (path / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return read_run(path)


def test_variation_has_a_mark_for_each_block_that_moved(folders):
    near = with_weights(folders.make("none", 80.0, name="near"), {"conv1": 0.0, "layer1.0": 0.02, "fc": 0.05})
    far = with_weights(folders.make("kd", 80.0), {"conv1": 0.01, "layer1.0": 0.02, "fc": None})
    svg = variation_chart([near, far], looks(2))
    assert [num_markers(svg, f"series-{index}") for index in range(2)] == [2, 2]
    words = words_in(svg)
    assert "change of the weights, % of their length" in words and "4" in words
    assert [word for word in words if word in ("conv1", "layer1.0", "fc")] == ["layer1.0", "fc", "conv1"]


def test_variation_over_decades_is_logarithmic_and_many_blocks_are_named_in_part(folders):
    changes = {f"block{index}": 1e-4 * 1.1**index for index in range(90)}
    svg = variation_chart([with_weights(folders.make("none", 80.0), changes)], looks(1))
    assert {"0.01", "0.1", "1", "10"} <= set(words_in(svg))
    assert sum(word.startswith("block") for word in words_in(svg)) == 30


def test_variation_is_no_chart_where_nothing_was_measured_or_moved(folders):
    old, still = folders.make("none", 80.0), folders.make("kd", 80.0)
    assert variation_chart([read_run(old)], looks(1)) == ""
    assert variation_chart([with_weights(still, {"conv1": 0.0})], looks(1)) == ""


@pytest.fixture
def runs(four_runs):
    return [read_run(path) for path in four_runs]


def test_accuracy_has_a_point_per_measured_epoch_of_every_run(runs):
    svg = score_chart(runs, looks(4))
    assert [num_markers(svg, f"series-{index}") for index in range(4)] == [6, 6, 6, 2]
    assert "accuracy % on the test images" in words_in(svg)


def test_phases_are_named_where_a_run_has_several(runs):
    assert {" train", "initialise "} <= set(words_in(score_chart(runs, looks(4))))
    assert "initialise " not in words_in(score_chart(runs[:2], looks(2)))


def test_the_teacher_is_a_dashed_line_and_missing_where_there_is_none(runs):
    assert "stroke-dasharray: 6,3.6" in score_chart(runs, looks(4))
    assert "stroke-dasharray: 6,3.6" not in score_chart(runs[:1], looks(1))


def test_there_is_one_chart_per_term_and_loss_comes_first(runs):
    charts = term_charts(runs, looks(4))
    assert list(charts) == ["loss", "task", "kd", "ab"]
    assert num_markers(charts["ab"], "series-2") == 1
    assert num_markers(charts["kd"], "series-2") == 5
    assert num_markers(charts["ab"], "series-0") == 0


def test_a_run_without_a_whole_epoch_still_shows_its_steps(folders):
    run = read_run(folders.make("kd", 80.0, finished_epochs=0, steps_behind=200))
    assert score_chart([run], looks(1)) == ""
    assert "var(--series-0)" in term_charts([run], looks(1))["kd"]


def test_agreement_has_a_row_per_layer_and_none_where_it_was_not_measured(runs):
    svg = agreement_chart(runs, looks(4))
    assert {"block1.layer.1.bn1", "block2.layer.1.bn1", "block3.layer.1.bn1", "bn1"} <= set(words_in(svg))
    assert [num_markers(svg, f"series-{index}") for index in range(4)] == [0, 4, 4, 4]
    assert agreement_chart(runs[:1], looks(1)) == ""


def test_names_with_dollars_and_angles_are_written_as_they_are(folders):
    name = "$\\frac{<script>}$ & x"
    path = folders.make("kd", 80.0, phases=[("train", 2, {name: 1.0}, True)])
    svg = term_charts([read_run(path)], looks(1))[name]
    assert name in words_in(svg)
    assert "<script" not in svg


def test_two_drawings_share_no_id_and_refer_only_to_their_own(runs):
    drawings = [*term_charts(runs, looks(4)).values(), score_chart(runs, looks(4)), legend_mark(looks(1)[0], "m")]
    seen = set()
    for svg in drawings:
        ids = set(re.findall(r'\sid="([^"]+)"', svg))
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) == ids
        assert not ids & seen
        seen |= ids


def test_every_colour_of_a_drawing_follows_the_scheme_of_the_page(runs):
    assert set(LIGHT) == set(DARK)
    for svg in (score_chart(runs, looks(4)), *term_charts(runs, looks(4)).values(), agreement_chart(runs, looks(4))):
        assert not re.findall(r"(?:stroke|fill): #\w+", svg)


def test_the_same_runs_give_the_same_drawing(runs):
    assert score_chart(runs, looks(4)) == score_chart(runs, looks(4))


@pytest.mark.parametrize(("values", "spanned"), [([1, 100], 2), ([0, 100], 0), ([5, float("nan")], 0), ([], 0)])
def test_decades_between_the_smallest_and_the_largest(values, spanned):
    assert decades(values) == pytest.approx(spanned)


def test_a_wide_term_is_drawn_on_a_logarithmic_scale_and_a_narrow_one_is_not(folders):
    path = folders.make("kd", 80.0)
    records = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        record["terms"] = {"wide": 10.0 ** -record["epoch"], "narrow": 1.0 + record["epoch"]}
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    charts = term_charts([read_run(path)], looks(1))
    assert {"1e-05", "0.001", "0.1"} <= set(words_in(charts["wide"]))
    assert {"2", "3", "4"} <= set(words_in(charts["narrow"]))


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    points = [(float(index), 0.0) for index in range(10_000)]
    kept = thinned(points)
    assert (len(kept), kept[0], kept[-1]) == (MOST_POINTS, points[0], points[-1])
    assert len(set(kept)) == MOST_POINTS
    assert thinned(points[:5]) == points[:5]


def test_a_term_does_not_run_on_from_one_phase_into_the_next(runs):
    """AB+KD's loss is two lines, one per phase: those of 1 and of 5 epochs."""
    drawing = ElementTree.fromstring(term_charts(runs[2:3], looks(1))["loss"])
    lines = [path.attrib["d"].count("L") for path in drawing.iter("path")
             if "stroke: var(--series-0)" in path.get("style", "") and "stroke-width: 1.8" in path.get("style", "")
             and "stroke-opacity" not in path.get("style", "")]  # fmt: skip
    assert lines == [0, 4]


def test_a_finished_run_that_held_images_out_has_the_curve_of_these(folders):
    """Its end is measured on the test images, its epochs are not."""
    path = folders.make("kd", 80.0, split="validation")
    summary = json.loads((path / "summary.json").read_text())
    (path / "summary.json").write_text(json.dumps(summary | {"split": "test"}))
    split, curve = measured_scores(read_run(path))
    assert split == "validation" and len(curve) == 6
