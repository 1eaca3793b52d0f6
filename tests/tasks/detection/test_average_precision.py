import contextlib
import io

import numpy as np
import pytest
import torch

from understudy.tasks.detection.average_precision import area, average_precision, eleven_points, mean_over_classes

NO_BOXES = torch.zeros(0, 4)


def found(*rows):
    """Detections from rows of (box, label, score)."""
    return {
        "boxes": torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([row[1] for row in rows], dtype=torch.int64),
        "scores": torch.tensor([row[2] for row in rows], dtype=torch.float32),
    }


def there(*rows):
    """Objects from rows of (box, label, difficult)."""
    return {
        "boxes": torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([row[1] for row in rows], dtype=torch.int64),
        "difficult": torch.tensor([row[2] for row in rows], dtype=torch.bool),
    }


A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]


def only(detections, objects):
    answer = average_precision(detections, objects, num_classes=1)
    return answer["eleven_points"][0], answer["area"][0]


def test_all_objects_found_and_nothing_else_is_one():
    assert only([found((A, 0, 0.9), (B, 0, 0.8))], [there((A, 0, False), (B, 0, False))]) == (1.0, 1.0)


def test_half_the_objects_found_is_six_points_of_eleven_and_half_the_area():
    points, under = only([found((A, 0, 0.9))], [there((A, 0, False), (B, 0, False))])
    assert points == pytest.approx(6 / 11) and under == pytest.approx(0.5)


def test_a_wrong_one_before_a_right_one_halves_the_precision():
    points, under = only([found((C, 0, 0.9), (A, 0, 0.8))], [there((A, 0, False))])
    assert points == pytest.approx(0.5) and under == pytest.approx(0.5)


def test_a_second_detection_of_one_object_is_wrong():
    twice = found((A, 0, 0.9), (A, 0, 0.8), (B, 0, 0.7))
    _, under = only([twice], [there((A, 0, False), (B, 0, False))])
    assert under == pytest.approx(0.5 * 1.0 + 0.5 * 2 / 3)


def test_a_detection_belongs_to_the_object_it_overlaps_most_even_if_that_is_taken():
    # The second detection overlaps both objects by half or more, and most the one that the first has taken.
    near = [0, 0, 10, 12]
    objects = there((A, 0, False), ([0, 3, 10, 14], 0, False))
    _, under = only([found((A, 0, 0.9), (near, 0, 0.8))], [objects])
    assert under == pytest.approx(0.5)


def test_difficult_objects_neither_help_nor_harm():
    objects = [there((A, 0, False), (B, 0, True))]
    with_it = only([found((B, 0, 0.9), (B, 0, 0.85), (A, 0, 0.8))], objects)
    without = only([found((A, 0, 0.8))], objects)
    assert with_it == without == (1.0, 1.0)


def test_an_overlap_of_exactly_a_half_is_enough():
    assert only([found(([0, 0, 10, 5], 0, 0.9))], [there((A, 0, False))]) == (1.0, 1.0)
    assert only([found(([0, 0, 10, 4.9], 0, 0.9))], [there((A, 0, False))]) == (0.0, 0.0)


def test_a_class_without_objects_that_count_is_not_a_number_and_left_out_of_the_mean():
    answer = average_precision([found((A, 0, 0.9))], [there((A, 0, False), (B, 1, True))], num_classes=3)
    assert np.isnan(answer["area"][1:]).all()
    assert mean_over_classes(answer["area"]) == 1.0
    assert np.isnan(mean_over_classes([float("nan")]))


def test_nothing_found_is_zero():
    assert only([found()], [there((A, 0, False))]) == (0.0, 0.0)


def test_a_recall_of_three_in_ten_counts_at_the_point_of_three_tenths():
    points = eleven_points(np.array([0.1, 0.2, 3 / 10]), np.ones(3))
    assert points == pytest.approx(4 / 11)


def test_the_area_is_that_of_the_best_precision_at_each_recall_or_a_higher_one():
    assert area(np.array([0.5, 0.5, 1.0]), np.array([1.0, 0.5, 2 / 3])) == pytest.approx(0.5 + 0.5 * 2 / 3)


# Against others ------------------------------------------------------------------------------------------------------


def made_up(seed, *, images=30, classes=3):
    """Objects, a tenth of them difficult, and detections that are near some of them or anywhere."""
    drawn = np.random.default_rng(seed)

    def boxes(count):
        corners = drawn.uniform(0, 60, (count, 2))
        return np.concatenate([corners, corners + drawn.uniform(5, 40, (count, 2))], axis=1)

    detections, objects = [], []
    for _ in range(images):
        real = boxes(drawn.integers(0, 6))
        labels = drawn.integers(0, classes, len(real))
        objects.append(there(*zip(real.tolist(), labels.tolist(), drawn.random(len(real)) < 0.1, strict=True)))
        near = [(box + drawn.normal(0, 3, 4), label) for box, label in zip(real, labels, strict=True) for _ in "ab"]
        others = [(box, drawn.integers(0, classes)) for box in boxes(drawn.integers(0, 5))]
        rows = [(box.tolist(), int(label), float(drawn.random())) for box, label in near + others]
        detections.append(found(*rows))
    return detections, objects


def slow_overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    inside = max(width, 0.0) * max(height, 0.0)
    area_of = lambda box: (box[2] - box[0]) * (box[3] - box[1])  # noqa: E731
    return inside / (area_of(one) + area_of(other) - inside)


def slow_average_precision(detections, objects, label):
    """The development kit's program, in its order: all detections of a class by score, one at a time."""
    lines = [
        (float(score), image, box.tolist())
        for image, found_there in enumerate(detections)
        for box, own, score in zip(found_there["boxes"], found_there["labels"], found_there["scores"], strict=True)
        if own == label
    ]
    lines.sort(key=lambda line: -line[0])
    real = {
        image: [
            {"box": box.tolist(), "difficult": bool(difficult), "taken": False}
            for box, own, difficult in zip(o["boxes"], o["labels"], o["difficult"], strict=True)
            if own == label
        ]
        for image, o in enumerate(objects)
    }
    total = sum(not each["difficult"] for those in real.values() for each in those)
    right = wrong = 0
    curve = []
    for _, image, box in lines:
        best, best_overlap = None, -1.0
        for each in real[image]:
            overlap = slow_overlap(box, each["box"])
            if overlap > best_overlap:
                best, best_overlap = each, overlap
        if best is not None and best_overlap >= 0.5:
            if best["difficult"]:
                continue
            if best["taken"]:
                wrong += 1
            else:
                best["taken"] = True
                right += 1
        else:
            wrong += 1
        curve.append((right / total, right / (right + wrong)))
    points = 0.0
    for tenth in range(11):
        points += max([p for r, p in curve if r >= tenth / 10], default=0.0) / 11
    under, before = 0.0, 0.0
    for index, (recall, _) in enumerate(curve):
        under += (recall - before) * max(p for _, p in curve[index:])
        before = recall
    return points, under


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_development_kits_way_of_counting(seed):
    detections, objects = made_up(seed)
    answer = average_precision(detections, objects, num_classes=3)
    for label in range(3):
        points, under = slow_average_precision(detections, objects, label)
        assert answer["eleven_points"][label] == pytest.approx(points, abs=1e-9)
        assert answer["area"][label] == pytest.approx(under, abs=1e-9)


def separate(seed):
    """Objects on a grid, so far apart that a detection overlaps one at most: matching is then the same everywhere."""
    drawn = np.random.default_rng(seed)
    detections, objects = [], []
    for _ in range(20):
        cells = [[x * 100.0 + 30, y * 100.0 + 30] for x in range(3) for y in range(3)]
        real = [[x, y, x + drawn.uniform(20, 40), y + drawn.uniform(20, 40)] for x, y in cells if drawn.random() < 0.6]
        labels = drawn.integers(0, 2, len(real)).tolist()
        objects.append(there(*zip(real, labels, drawn.random(len(real)) < 0.15, strict=True)))
        rows = [
            ((np.array(box) + drawn.normal(0, 4, 4)).tolist(), label, float(drawn.random()))
            for box, label in zip(real, labels, strict=True)
            if drawn.random() < 0.8
        ]
        rows += [
            ([x - 25, y - 25, x - 5, y - 5], int(drawn.integers(0, 2)), float(drawn.random())) for x, y in cells[:2]
        ]
        detections.append(found(*rows))
    return detections, objects


def coco_precisions(detections, objects, recalls):
    """pycocotools at IoU 0.5 and these recalls. What is difficult gets an area outside the range, and is ignored so."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(images, extra):
        for image, each in enumerate(images):
            for index, box in enumerate(each["boxes"].double().tolist()):
                corner = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                yield {"image_id": image, "category_id": int(each["labels"][index]), "bbox": corner} | extra(
                    each, index
                )

    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(len(objects))],
        "categories": [{"id": 0}, {"id": 1}],
        "annotations": [
            row | {"id": number}
            for number, row in enumerate(
                rows(objects, lambda o, i: {"area": 1e9 if o["difficult"][i] else 100.0, "iscrowd": 0}), start=1
            )
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        results = truth.loadRes([*rows(detections, lambda o, i: {"score": float(o["scores"][i])})])
        judge = COCOeval(truth, results, "bbox")
        judge.params.iouThrs, judge.params.recThrs = np.array([0.5]), np.asarray(recalls)
        judge.params.areaRng, judge.params.areaRngLbl, judge.params.maxDets = [[0, 1e6]], ["all"], [1000]
        judge.evaluate()
        judge.accumulate()
    return judge.eval["precision"][0, :, :, 0, 0]  # (recalls, classes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("seed", range(3))
def test_eleven_points_are_those_of_pycocotools(seed):
    detections, objects = separate(seed)
    answer = average_precision(detections, objects, num_classes=2)
    expected = coco_precisions(detections, objects, np.arange(11) / 10).mean(axis=0)
    np.testing.assert_allclose(answer["eleven_points"], expected, atol=1e-9)
    # Many recalls come close to the area: each step of the curve is that much off at most.
    dense = coco_precisions(detections, objects, np.linspace(0, 1, 20_001)).mean(axis=0)
    np.testing.assert_allclose(answer["area"], dense, atol=1e-3)
