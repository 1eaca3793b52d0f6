"""COCO's average precision, on cases that can be counted by hand."""

import pytest
import torch

from understudy.data import BoxedImages
from understudy.data.boxed_images import objects_of
from understudy.tasks.detection import coco_scores

WHOLE = [10.0, 20.0, 60.0, 70.0]
SHARE_062 = [10.0, 20.0, 60.0, 51.0]
ELSEWHERE = [200.0, 200.0, 240.0, 240.0]


def images(*objects):
    """Of classes a, b and one that nobody shows; each image's objects are (box, label, difficult)."""
    shown = tuple(objects_of(*(zip(*those, strict=True) if those else ([], [], []))) for those in objects)
    return BoxedImages(source=None, rows=torch.arange(len(shown)), objects=shown, class_names=("a", "b", "none"))


def found(*rows):
    boxes, labels, scores = zip(*rows, strict=True) if rows else ([], [], [])
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "scores": torch.tensor(scores),
    }


def numbers(detections, there):
    scores = coco_scores(detections, there)
    assert scores is not None
    return [scores[name] for name in ("ap_pct", "ap50_pct", "ap75_pct")]


def test_an_object_found_at_an_overlap_of_062_counts_at_three_of_ten_overlaps():
    there = images([(WHOLE, 0, False)])
    assert numbers([found((SHARE_062, 0, 0.9))], there) == pytest.approx([30.0, 100.0, 0.0])
    assert numbers([found((WHOLE, 0, 0.9))], there) == pytest.approx([100.0] * 3)
    assert numbers([found((WHOLE, 1, 0.9))], there) == numbers([found()], there) == [0.0] * 3


def test_classes_count_alike_and_those_that_nobody_shows_not_at_all():
    there = images([(WHOLE, 0, False)], [(WHOLE, 1, False), (ELSEWHERE, 1, False)])
    right = found((WHOLE, 0, 0.4)), found((WHOLE, 1, 0.9), (ELSEWHERE, 1, 0.8))
    assert numbers(right, there) == pytest.approx([100.0] * 3)
    assert numbers((found(), right[1]), there) == pytest.approx([50.0] * 3)


def test_what_is_found_in_something_difficult_is_neither_right_nor_wrong():
    there = images([(WHOLE, 0, True), (ELSEWHERE, 0, False)])
    rows = [(WHOLE, 0, 0.9), (SHARE_062, 0, 0.8), (ELSEWHERE, 0, 0.7)]
    assert numbers([found(*rows)], there) == pytest.approx([100.0] * 3)
    assert numbers([found(([80.0, 80.0, 90.0, 90.0], 0, 0.95), rows[2])], there) == pytest.approx([50.0] * 3, abs=1.0)
    assert coco_scores([found(*rows)], images([(WHOLE, 0, True)])) is None


def test_without_pycocotools_there_are_none(monkeypatch):
    monkeypatch.setattr("understudy.tasks.detection.by_coco.find_spec", lambda name: None)
    assert coco_scores([found((WHOLE, 0, 0.9))], images([(WHOLE, 0, False)])) is None
