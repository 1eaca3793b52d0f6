"""CIFAR-10, learning speed once more: Chaabane et al.'s repetition of Heo et al.'s table 1 with the authors' code.

Run:    understudy reproduce ab_replication 1+5 --teacher-weights FILE
Expect: 10.89 % error for AB + KD at 1+5 epochs, with the paper's teacher.

The runs are those of ab_table1.
"""

from understudy.experiments.ab_cifar import DECLARED, settings
from understudy.experiments.ab_table1 import BUDGETS, DIFFERS
from understudy.experiments.row import Row, Table

# Metric -> label and values in per cent at each budget.
PUBLISHED = {
    "final_accuracy_percent": ("AB + KD, accuracy", (80.83, 89.11, 92.78, 93.70, 94.08, 94.23)),
    "error_percent": ("AB + KD, error", (19.17, 10.89, 7.22, 6.30, 5.92, 5.77)),
}


def _row(metric: str, label: str, init: int, train: int, published: float) -> Row:
    return Row(
        keys={
            "method": "ab+kd",
            "teacher": "wrn_22_4",
            "student": "wrn_16_2",
            "dataset": "cifar10",
            "epochs_init": init,
            "epochs_train": train,
            "percent_data": 100,
        },
        label=label,
        metric=metric,
        published=published,
        teacher="wrn22-4",
        settings=settings("ab+kd", epochs=f"{init}+{train}"),
    )


AB_REPLICATION = Table(
    name="ab_replication",
    title="Learning speed, measured again by others with the authors' code",
    citation="Chaabane, Ezzeddine, Donada-Vidal & Bouzouita, Article Analysis of Heo et al., AAAI 2019",
    rows={
        f"{metric.removeprefix('final_').removesuffix('_percent')}/{init}+{train}": _row(
            metric, label, init, train, published
        )
        for metric, (label, values) in PUBLISHED.items()
        for (init, train), published in zip(BUDGETS, values, strict=True)
    },
    across=("epochs_init", "epochs_train"),
    notes=f"The accuracy is 100 less the error. {DIFFERS} {DECLARED}",
)
