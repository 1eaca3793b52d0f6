"""Faces at 16 pixels: a teacher of faces at 64 pixels teaches a student that sees the same views scaled down.

A table of our own, after Ge et al., TIP 2019: 38 people of the ORL set, six images of each to train on, four to test on
(152 in all: one is 0.66 points). How much of the training set the graph cut keeps goes from all to a quarter; then the
same with a fifth of the training labels wrong, which the selection ought to find: taught by the same teacher, and by
one that was trained on the wrong labels itself.

Run:    understudy train --model resnet14 --data faces38 --epochs 30 --batch-size 19 --precision float32 \\
            --out runs/faces38 data.size=64 optim.sched=onecycle
        cp runs/faces38/student.safetensors runs/right.safetensors
        understudy reproduce faces38_selective right wrong --teacher-weights runs/right.safetensors --seed 0

and so on with seeds 1 and 2. For the rows of `wrong-teacher`, the teacher's command has data.mislabel=0.2 at its end,
another folder, and its weights are runs/wrong.safetensors.

Differs from the paper: the student learns from labels and selected features at once, from random weights; there it is
trained on images of low resolution first, and tuned with the features afterwards. The cut's energy is our own.
"""

from understudy.experiments.row import Row, Table, declared

EPOCHS = 40
RATIOS = (1.0, 0.75, 0.5, 0.25)
# The column on the page -> how its rows are called, the share of wrong labels, and the recipe of the teacher.
LABELS = {
    "right labels": ("right", 0.0, "resnet14-faces38"),
    "20 % wrong": ("wrong", 0.2, "resnet14-faces38"),
    "20 % wrong, also the teacher's": ("wrong-teacher", 0.2, "resnet14-faces38-wrong"),
}


def _row(column: str, keep: float | None) -> Row:
    """The student alone where `keep` is None."""
    _, wrong, teacher = LABELS[column]
    if keep is None:
        method, label, selecting = "none", "Student alone", {}
    else:
        method, label = "selective", "All samples" if keep == 1.0 else f"{keep:.0%} selected".replace("%", " %")
        selecting = {"terms.selective.keep": keep, "run.teacher_cache": "runs/faces38-answers"}
    return Row(
        keys={
            "method": method,
            "teacher": "resnet14_64px",
            "student": "resnet8_16px",
            "dataset": "faces38",
            "epochs_init": 0,
            "epochs_train": EPOCHS,
            "percent_data": 100,
            "percent_kept": round(100 * keep) if keep else 0,
            "labels": column,
        },
        label=label,
        published=None,
        teacher=teacher,
        settings={
            "task": "distill",
            "teacher.model": "resnet14",
            "student.model": "resnet8",
            "student.size": 16,
            "method.name": method,
            "data.name": "faces38",
            "data.size": 64,
            "data.views": 8,
            **({"data.mislabel": wrong} if wrong else {}),
            "epochs": EPOCHS,
            "batch_size": 19,
            "optim.sched": "onecycle",
            "run.precision": "float32",
            "run.eval_every": EPOCHS,
            **selecting,
        },
    )


FACES38_SELECTIVE = Table(
    name="faces38_selective",
    title="Faces at 16 pixels, taught at 64 on the images that a graph cut keeps",
    citation="a table of our own, after Ge, Zhao, Li & Li, TIP 2019",
    rows={
        f"{name}/{'none' if keep is None else f'{keep:g}'}": _row(column, keep)
        for column, (name, _, _) in LABELS.items()
        for keep in (None, *RATIOS)
    },
    across=("labels",),
    notes=declared(__doc__),
)
