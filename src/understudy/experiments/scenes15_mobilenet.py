"""Fifteen scenes at 128 pixels: a fine-tuned ResNet-50 teaches a MobileNet, from 40 images of each scene.

A table of our own. The scenes (Lazebnik, Schmid & Ponce 2006) are 600 images to train on, 300 to test on. The teacher
begins with CIFAR-100 and is then fine-tuned; both networks start from random weights.

Run:    understudy train --model torchvision:resnet50 --data cifar100 --epochs 10 --out runs/resnet50-cifar100 \\
            data.size=64 optim.sched=onecycle
        understudy train --model torchvision:resnet50 --weights runs/resnet50-cifar100/student.safetensors \\
            --data scenes15 --epochs 40 --batch-size 32 --out runs/resnet50-scenes15 \\
            data.size=128 data.loading=workers data.scale=[0.35,1] optim.sched=onecycle optim.lr=0.02
        understudy reproduce scenes15_mobilenet --teacher-weights runs/resnet50-scenes15/student.safetensors
"""

from understudy.experiments.row import Row, Table

EPOCHS = 40
STUDENTS = {"none": "Cross-entropy", "ab+kd": "AB + KD", "ofd": "OFD"}


def _row(method: str, label: str) -> Row:
    return Row(
        keys={
            "method": method,
            "teacher": "resnet50",
            "student": "mobilenet_v1",
            "dataset": "scenes15",
            "epochs_init": 0,
            "epochs_train": EPOCHS,
            "percent_data": 100,
        },
        label=label,
        published=None,
        teacher="resnet50-scenes15",
        settings={
            "teacher.model": "torchvision:resnet50",
            "student.model": "mobilenet-v1",
            "method.name": method,
            "data.name": "scenes15",
            "data.size": 128,
            "data.loading": "workers",
            "data.scale": (0.35, 1.0),
            "epochs": EPOCHS,
            "batch_size": 32,
            "optim.lr": 0.05,
            "optim.sched": "onecycle",
            "run.eval_every": 10,
            # Longer than what compiling costs here, though shorter than what compiles by itself.
            "run.compile": "on",
        },
    )


SCENES15_MOBILENET = Table(
    name="scenes15_mobilenet",
    title="Fifteen scenes: a fine-tuned ResNet-50 teaches a MobileNet",
    citation="a table of our own",
    rows={method: _row(method, label) for method, label in STUDENTS.items()},
    across=("epochs_init", "epochs_train"),
)
