"""COCO's average precision of detections, by pycocotools.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; the measure is at cocodataset.org/#detection-eval.
"""

import contextlib
import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from torch import Tensor

from understudy.data import BoxedImages

# The first three of pycocotools' numbers. Those by the size of objects go by the areas of outlines, which are not kept.
NAMES = ("ap_pct", "ap50_pct", "ap75_pct")


def coco_scores(detections: Sequence[dict[str, Tensor]], images: BoxedImages) -> dict[str, float] | None:
    """Average precision over overlaps from 0.5 to 0.95, at 0.5 and at 0.75, in per cent.

    None without pycocotools, and where no object counts. One entry of `detections` for each image: boxes (N, 4), labels
    (N,) from 0 and scores (N,). What is difficult is a crowd: whatever is found in it is neither right nor wrong.
    """
    if find_spec("pycocotools") is None:
        return None
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not any(len(objects.kept(~objects.difficult)) for objects in images.objects):
        return None
    found: Any = _as_results(detections)
    if not found:
        return dict.fromkeys(NAMES, 0.0)
    # It prints how far it is.
    with contextlib.redirect_stdout(io.StringIO()):
        there: Any = COCO()
        there.dataset = _as_dataset(images)
        there.createIndex()
        evaluation = COCOeval(there, there.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: 100.0 * float(value) for name, value in zip(NAMES, evaluation.stats, strict=False)}


def _as_dataset(images: BoxedImages) -> dict[str, Any]:
    annotations = [
        {"image_id": index, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": int(is_difficult)}
        for index, objects in enumerate(images.objects)
        for box, label, is_difficult in zip(
            _from_corner(objects.boxes), objects.labels.tolist(), objects.difficult.tolist(), strict=True
        )
    ]
    return {
        "info": {},
        "images": [{"id": index} for index in range(len(images))],
        "categories": [{"id": label} for label in range(len(images.class_names))],
        # pycocotools takes an annotation of number 0 for none.
        "annotations": [{"id": number, **each} for number, each in enumerate(annotations, start=1)],
    }


def _as_results(detections: Sequence[dict[str, Tensor]]) -> list[dict[str, Any]]:
    return [
        {"image_id": index, "category_id": label, "bbox": box, "score": score}
        for index, found in enumerate(detections)
        for box, label, score in zip(
            _from_corner(found["boxes"]), found["labels"].tolist(), found["scores"].tolist(), strict=True
        )
    ]


def _from_corner(boxes: Tensor) -> list[list[float]]:
    """[xmin, ymin, width, height] of [xmin, ymin, xmax, ymax]."""
    wide = boxes.double()
    wide[:, 2:] -= wide[:, :2]
    return wide.tolist()
