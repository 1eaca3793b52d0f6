"""CIFAR-10, learning speed: Heo et al., AAAI 2019, table 1.

WRN 22-4 (4.51 % error in the paper) teaches WRN 16-2 for a few epochs of initialisation and of training.

Run:    understudy reproduce ab_table1 1+1 1+5 --teacher-weights FILE
Expect: 16.39 % error for AB + KD at 1+1 epochs, 11.16 % at 1+5, with the paper's teacher.

Methods without an initialisation train for the sum of both numbers. "KD" is trained as in the second phase of the
authors' code: T = 3, the divergence without T^2, no labels.

Differs from the paper: the rate falls after 30, 60 and 80 % of a phase's steps, also inside an epoch, so that even one
or two epochs end at a low rate.
"""

from understudy.experiments.row import Row

BUDGETS = ((1, 1), (1, 5), (3, 12), (5, 25), (10, 50), (20, 100))

# Error in per cent at each budget, with our name of the method.
PUBLISHED = {
    "cross_entropy": ("Cross-entropy", "none", (43.37, 17.72, 11.76, 8.63, 7.41, 6.47)),
    "kd": ("KD", "kd_only", (48.42, 19.80, 12.09, 8.66, 6.80, 6.19)),
    "ab+kd": ("AB + KD", "ab+kd", (16.39, 11.16, 6.95, 6.08, 5.72, 5.58)),
}

AB_TABLE1 = {
    f"{method}/{init}+{train}": Row(
        method=method,
        label=label,
        teacher="wrn_22_4",
        student="wrn_16_2",
        dataset="cifar10",
        epochs_init=init,
        epochs_train=train,
        published=published,
        settings={
            "task": "distill",
            "teacher.model": "wrn22-4",
            "student.model": "wrn16-2",
            "method.name": ours,
            "data.name": "cifar10",
            "epochs": f"{init}+{train}",
        },
    )
    for method, (label, ours, errors) in PUBLISHED.items()
    for (init, train), published in zip(BUDGETS, errors, strict=True)
}
