"""What counts as the same detections."""

import pytest
import torch

from understudy.export.same_answers import ExportError
from understudy.export.same_boxes import compare_boxes

BOXES = torch.tensor([[10.0, 10.0, 110.0, 60.0], [0.0, 0.0, 40.0, 40.0], [200.0, 0.0, 240.0, 30.0]])


def answer(boxes=BOXES, labels=(1, 0, 1), scores=(0.9, 0.5, 0.5)):
    found = boxes, torch.tensor(labels), torch.tensor(scores)
    return lambda _: found


def compared(other, network=None, num_images=2, tolerance=1e-4):
    images = [torch.zeros(3, 8, 8, dtype=torch.uint8)] * num_images
    return compare_boxes(network or answer(), other, images, tolerance=tolerance)


def test_the_same_detections_in_another_order_are_the_same():
    found = compared(answer(BOXES[[0, 2, 1]] + 0.01, (1, 1, 0), (0.90005, 0.5, 0.5)))
    assert found.in_words() == "6 of 6 detections in 2 test images are the same"


@pytest.mark.parametrize(
    "other",
    [
        answer(BOXES + torch.tensor([0.0, 0.0, 2.0, 0.0])),
        answer(labels=(1, 1, 1)),
        answer(scores=(0.9, 0.5, 0.4998)),
        answer(scores=(float("nan"), 0.5, 0.5)),
        answer(BOXES[:2], (1, 0), (0.9, 0.5)),
        answer(torch.cat([BOXES, BOXES[:1] + 50]), (1, 0, 1, 1), (0.9, 0.5, 0.5, 0.3)),
        answer(BOXES[:0], (), ()),
    ],
)
def test_another_box_class_or_score_and_one_too_few_or_too_many_are_not(other):
    with pytest.raises(ExportError, match="are not found on the other side"):
        compared(other)


def test_one_in_a_hundred_may_be_another_and_is_told():
    boxes = torch.tensor([[100.0 * n, 0.0, 100.0 * n + 90.0, 50.0] for n in range(100)])
    moved = boxes.clone()
    moved[7] += 30
    network, other = (answer(each, (0,) * 100, (0.5,) * 100) for each in (boxes, moved))
    assert compared(other, network).in_words() == "198 of 200 detections in 2 test images are the same"
    moved[8] += 30
    with pytest.raises(ExportError, match=r"4 of the detector's 200 detections"):
        compared(other, network)


def test_where_nothing_is_found_nothing_is_compared():
    nothing = answer(BOXES[:0], (), ())
    with pytest.raises(ExportError, match="finds nothing in 2 test images"):
        compared(nothing, nothing)
