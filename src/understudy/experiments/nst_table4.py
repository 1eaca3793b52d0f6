"""PASCAL VOC 2007 detection: Huang & Wang, arXiv 2017, table 4.

Faster R-CNN on the Inception backbones of table 3, trained on VOC 2007 and 2012 trainval; features of layer 4b (stride
16). Only the backbone's weights differ. Average precision as VOC 2007 computes it, by class and over all.

Not known to us: the detector's schedule, here 12 epochs, a rate of 0.02 for 16 images, a tenth of it after 8 and 11;
and the images' size, here 800 pixels the longer side. Differs from common practice: BatchNorm is not frozen.
"""

from understudy.experiments.nst import CITATION, DECLARED, METHODS
from understudy.experiments.row import Row, Table, declared

CLASSES = (
    "all", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

# Average precision in per cent over all classes ("all"), then of each.
PUBLISHED = {
    "cross_entropy": (
        75.6, 77.2, 79.2, 75.0, 62.2, 61.7, 83.7, 84.9, 87.0, 60.5, 81.6, 66.9, 86.5, 86.9, 78.7, 78.8, 49.2, 78.2,
        78.2, 81.7, 74.9,
    ),
    "kd": (
        76.0, 75.7, 79.4, 75.7, 66.1, 60.1, 85.4, 84.3, 86.8, 60.1, 84.0, 65.7, 84.4, 87.0, 81.6, 79.0, 48.8, 76.8,
        79.5, 83.4, 75.4,
    ),
    "fitnet": (
        76.6, 75.5, 82.8, 77.7, 67.2, 58.7, 84.8, 85.9, 86.7, 61.1, 81.6, 70.1, 85.3, 86.0, 81.4, 79.0, 51.8, 78.1,
        78.8, 85.2, 74.1,
    ),
    "at": (
        76.5, 74.9, 83.0, 77.8, 67.3, 61.7, 85.2, 85.2, 87.4, 60.5, 83.0, 69.4, 85.0, 86.7, 81.8, 79.1, 49.0, 78.1,
        78.6, 82.5, 74.4,
    ),
    "nst_polynomial": (
        76.8, 75.7, 81.5, 75.4, 67.3, 61.1, 86.1, 85.0, 86.9, 61.0, 82.7, 71.5, 86.5, 86.8, 84.3, 79.0, 51.5, 77.4,
        77.6, 84.4, 75.2,
    ),
    "kd+nst_polynomial": (
        77.2, 75.7, 84.2, 77.2, 67.6, 63.5, 86.4, 85.7, 88.7, 61.0, 83.1, 69.7, 85.4, 85.2, 83.8, 79.2, 51.9, 76.0,
        78.4, 82.9, 77.1,
    ),
}  # fmt: skip

SETTINGS = {
    "task": "train",
    "student.model": "bn-inception",
    "data.name": "voc0712",
    "data.size": 800,
    "detection.fpn": False,
    "detection.positions": ("in4b",),
    "detection.regions": 128,
    "epochs": 12,
    "batch_size": 16,
    "optim.lr": 0.02,
    "optim.weight_decay": 1e-4,
    "optim.milestones": (2 / 3, 11 / 12),
    "optim.decay_rate": 0.1,
    "run.eval_every": 12,
}


def _row(method: str, object_class: str, published: float) -> Row:
    return Row(
        keys={
            "method": method,
            "teacher": "resnet_101",
            "student": "inception_bn",
            "detector": "faster_rcnn",
            "dataset": "voc2007_test",
            "object_class": object_class,
        },
        label=METHODS[method][0],
        metric="mean_average_precision_percent" if object_class == "all" else "average_precision_percent",
        published=published,
        settings=SETTINGS,
        start=f"nst_table3/{method}/top1",
    )


NST_TABLE4 = Table(
    name="nst_table4",
    title="PASCAL VOC 2007 detection with backbones from different transfer methods",
    citation=f"{CITATION}, table 4",
    rows={
        f"{method}/{object_class}": _row(method, object_class, published)
        for method, values in PUBLISHED.items()
        for object_class, published in zip(CLASSES, values, strict=True)
    },
    across=("object_class",),
    notes=f"{declared(__doc__)} {DECLARED}",
)
