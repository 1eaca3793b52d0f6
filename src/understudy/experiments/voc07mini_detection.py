"""Object detection on a part of VOC 2007: the same detector on a random, a plain and two distilled backbones.

A table of our own, after the set-up of Huang & Wang, arXiv 2017, table 4. The backbones are the MobileNets of the table
scenes15_mobilenet; the detector is Faster R-CNN with a narrow feature pyramid, 10 epochs of 542 images at 192 pixels.
It shows that the path works, and whether one backbone is far better than another: there are too few images, and too few
of each class, to tell neighbours apart.

Run:    understudy train --model mobilenet-v1 --data voc07mini --epochs 10 --batch-size 8 --out runs/voc-none \\
            data.size=192 detection.channels=64 detection.head=128 detection.regions=128 optim.lr=0.01 \\
            optim.sched=onecycle run.eval_every=10
        and the same with --weights FILE, a finished student of scenes15_mobilenet, and another --out
"""

from understudy.experiments.row import Row, Table

EPOCHS = 10
# Row -> label, and the row of scenes15_mobilenet whose student is the backbone.
BACKBONES = {
    "random": ("Random weights", None),
    "cross_entropy": ("Cross-entropy", "none"),
    "ab+kd": ("AB + KD", "ab+kd"),
    "ofd": ("OFD", "ofd"),
}


def _row(method: str, label: str, start: str | None) -> Row:
    return Row(
        keys={
            "method": method,
            "teacher": "none" if start in (None, "none") else "resnet50",
            "student": "mobilenet_v1",
            "detector": "faster_rcnn",
            "dataset": "voc07mini",
        },
        label=label,
        metric="mean_average_precision_percent",
        published=None,
        start=None if start is None else f"scenes15_mobilenet/{start}",
        settings={
            "task": "train",
            "student.model": "mobilenet-v1",
            "data.name": "voc07mini",
            "data.size": 192,
            "detection.channels": 64,
            "detection.head": 128,
            "detection.regions": 128,
            "epochs": EPOCHS,
            "batch_size": 8,
            "optim.lr": 0.01,
            "optim.sched": "onecycle",
            "run.eval_every": EPOCHS,
        },
    )


VOC07MINI_DETECTION = Table(
    name="voc07mini_detection",
    title="A part of VOC 2007: one detector on backbones of several kinds",
    citation="a table of our own",
    rows={method: _row(method, label, start) for method, (label, start) in BACKBONES.items()},
    across=("dataset",),
    notes="542 images to train on, 239 to test on; mean average precision by VOC 2007's definition, with difficult "
    "objects ignored where they are known to be so.",
)
