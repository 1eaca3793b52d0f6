"""Fifteen scenes from 5 to 40 images of each, taught by a network that knows other classes.

A table of our own in the form of Heo et al., AAAI 2019, tables 4 and 5: the teacher, a ResNet-50, knows CIFAR-100's
classes and has seen no scene; the student, a MobileNet, starts from random weights and meets the scenes at 64 pixels.
One baseline is a student that was itself trained on CIFAR-100's classes before.

Run:    understudy reproduce scenes15_transfer 40

Differs from the paper: 24 + 16 epochs in place of 60 + 40, 64 pixels in place of 224, CIFAR-100 in place of ImageNet.
"""

from understudy.experiments.ab_transfer import INITIALISED, RECIPE
from understudy.experiments.ab_transfer import LABELS as PAPER_LABELS
from understudy.experiments.row import Row, Table

SAMPLES = (5, 10, 20, 40)
LABELS = {"cifar100_pretrained": "Student trained on CIFAR-100", **PAPER_LABELS}
BASELINES = ("cifar100_pretrained", "random_init")
METHODS = ("cifar100_pretrained", "random_init", "dtl", "dtl+fitnet", "dtl+fsp", "at+dtl", "dtl+jacobian", "ab+dtl")
TEACHER = {"teacher.model": "torchvision:resnet50"}
IN_TWO_PHASES = {"epochs": "24+16", "phases.train.lr": 0.01, "optim.milestones": (0.5,)}
IN_ONE_PHASE = {"epochs": "40", "optim.milestones": (0.6, 0.8)}

# The authors' 10 times the mean over 1000 classes is as much for each class as this over 100; with 10, all runs at a
# rate of 0.1 diverged. At its weight for CIFAR, 1000, AT's gradient was 60 to 77 times the labels', and diverged too;
# Jacobian matching has an AT term of its own.
WEIGHTS = {"dtl": {"dtl": 1.0}, "at": {"at": 20.0}, "jacobian": {"jacobian_at": 20.0}}


def _row(method: str, count: int) -> Row:
    is_alone = method in BASELINES
    weights = {
        f"terms.{term}.weight": weight for part in method.split("+") for term, weight in WEIGHTS.get(part, {}).items()
    }
    return Row(
        keys={
            "method": method,
            "teacher": "resnet_50",
            "student": "mobilenet",
            "dataset": "scenes15",
            "samples_per_class": count,
        },
        label=LABELS[method],
        metric="accuracy_percent",
        published=None,
        teacher=None if is_alone else "resnet50-cifar100",
        start="mobilenet-v1-cifar100" if method == "cifar100_pretrained" else None,
        settings={
            "task": "distill",
            "student.model": "mobilenet-v1",
            "data.name": "scenes15",
            "data.per_class": count,
            **({} if is_alone else {**TEACHER, "method.name": method}),
            **weights,
            **RECIPE,
            "data.size": 64,
            "data.loading": "workers",
            "data.scale": (0.35, 1.0),
            "run.eval_every": 40,
            **(IN_TWO_PHASES if method in INITIALISED else IN_ONE_PHASE),
        },
    )


SCENES15_TRANSFER = Table(
    name="scenes15_transfer",
    title="Fifteen scenes: accuracy with few training images of each, from a teacher of other classes",
    citation="a table of our own, after Heo et al., AAAI 2019, tables 4 and 5",
    rows={f"{method}/{count}": _row(method, count) for method in METHODS for count in SAMPLES},
    across=("samples_per_class",),
)
