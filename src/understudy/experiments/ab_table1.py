"""CIFAR-10, learning speed: Heo et al., AAAI 2019, table 1.

WRN 22-4 (4.51 % error in the paper) teaches WRN 16-2 for a few epochs of initialisation and of training.

Run:    understudy reproduce ab_table1 1+1 1+5 --teacher-weights FILE
Expect: 16.39 % error for AB + KD at 1+1 epochs, 11.16 % at 1+5, with the paper's teacher.

Methods without an initialisation train for the sum of both numbers. "KD" is trained as in the second phase of the
authors' code: T = 3, the divergence without T^2, no labels.

Differs from the paper: the rate falls after 30, 60 and 80 % of a phase's steps, also inside an epoch, so that even one
or two epochs end at a low rate.
"""

from understudy.experiments.ab_cifar import CITATION, DECLARED, LABELS, OF_OTHERS, settings, teacher_of
from understudy.experiments.row import Row, Table, declared

DIFFERS = declared(__doc__)
BUDGETS = ((1, 1), (1, 5), (3, 12), (5, 25), (10, 50), (20, 100))

# Error in per cent at each budget.
PUBLISHED = {
    "cross_entropy": (43.37, 17.72, 11.76, 8.63, 7.41, 6.47),
    "kd": (48.42, 19.80, 12.09, 8.66, 6.80, 6.19),
    "fitnet+kd": (48.16, 19.82, 11.10, 8.38, 7.02, 6.28),
    "fsp+kd": (43.51, 19.29, 11.15, 8.48, 6.87, 6.22),
    "at+kd": (37.66, 14.14, 8.35, 6.68, 5.94, 5.80),
    "jacobian+kd": (38.46, 14.29, 8.37, 6.98, 5.98, 5.77),
    "ab+kd": (16.39, 11.16, 6.95, 6.08, 5.72, 5.58),
}


def _row(method: str, init: int, train: int, published: float) -> Row:
    return Row(
        keys={
            "method": method,
            "teacher": "wrn_22_4",
            "student": "wrn_16_2",
            "dataset": "cifar10",
            "epochs_init": init,
            "epochs_train": train,
            "percent_data": 100,
        },
        label=LABELS[method],
        published=published,
        teacher=teacher_of(method),
        settings=settings(method, epochs=f"{init}+{train}"),
    )


AB_TABLE1 = Table(
    name="ab_table1",
    title="Learning speed: CIFAR-10 error after short and long training",
    citation=f"{CITATION}, table 1",
    rows={
        f"{method}/{init}+{train}": _row(method, init, train, published)
        for method, errors in PUBLISHED.items()
        for (init, train), published in zip(BUDGETS, errors, strict=True)
    },
    across=("epochs_init", "epochs_train"),
    notes=f"Methods without an initialisation train for the sum of both numbers of epochs. {DIFFERS} {DECLARED} "
    f"{OF_OTHERS}",
)
