"""CIFAR-10, learning speed: Heo et al., AAAI 2019, table 1.

WRN 22-4 (4.51 % error in the paper) teaches WRN 16-2 for a few epochs of initialisation and of training.

Run:    understudy reproduce ab_table1 1+1 1+5 --teacher-weights FILE
Expect: 16.39 % error for AB + KD at 1+1 epochs, 11.16 % at 1+5, with the paper's teacher.

Methods without an initialisation train for the sum of both numbers. "KD" is trained as in the second phase of the
authors' code: T = 3, the divergence without T^2, no labels.

Differs from the paper: the rate falls after 30, 60 and 80 % of a phase's steps, also inside an epoch, so that even one
or two epochs end at a low rate.
"""

from understudy.experiments.row import Row, Table

BUDGETS = ((1, 1), (1, 5), (3, 12), (5, 25), (10, 50), (20, 100))

# Error in per cent at each budget, with our name of the method.
PUBLISHED = {
    "cross_entropy": ("Cross-entropy", "none", (43.37, 17.72, 11.76, 8.63, 7.41, 6.47)),
    "kd": ("KD", "kd_only", (48.42, 19.80, 12.09, 8.66, 6.80, 6.19)),
    "ab+kd": ("AB + KD", "ab+kd", (16.39, 11.16, 6.95, 6.08, 5.72, 5.58)),
}


def _row(method: str, label: str, ours: str, init: int, train: int, published: float) -> Row:
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
        label=label,
        published=published,
        teacher="wrn22-4",
        settings={
            "task": "distill",
            "teacher.model": "wrn22-4",
            "student.model": "wrn16-2",
            "method.name": ours,
            "data.name": "cifar10",
            "epochs": f"{init}+{train}",
        },
    )


AB_TABLE1 = Table(
    name="ab_table1",
    title="Learning speed: CIFAR-10 test error after short and long training",
    citation="Heo, Lee, Yun & Choi, AAAI 2019, table 1",
    rows={
        f"{method}/{init}+{train}": _row(method, label, ours, init, train, published)
        for method, (label, ours, errors) in PUBLISHED.items()
        for (init, train), published in zip(BUDGETS, errors, strict=True)
    },
    across=("epochs_init", "epochs_train"),
    lower_is_better=True,
)
