"""CIFAR-10 and CIFAR-100, combined methods: Huang & Wang, arXiv 2017, table 2.

Run:    understudy reproduce nst_table2 kd+nst_polynomial --teacher-weights FILE
Expect: 4.21 % error for KD + NST on CIFAR-10, with the paper's teacher.
"""

from understudy.experiments.nst import CITATION, DECLARED, ON_CIFAR, cifar_row
from understudy.experiments.row import Table

# Error in per cent on CIFAR-10 and CIFAR-100.
PUBLISHED = {
    "fitnet+kd": (4.54, 22.29),
    "kd+nst_polynomial": (4.21, 21.48),
    "fitnet+kd+nst_polynomial": (4.54, 22.25),
}

NST_TABLE2 = Table(
    name="nst_table2",
    title="CIFAR error of combined transfer methods",
    citation=f"{CITATION}, table 2",
    rows={
        f"{method}/{dataset}": cifar_row(method, dataset, published)
        for method, errors in PUBLISHED.items()
        for dataset, published in zip(("cifar10", "cifar100"), errors, strict=True)
    },
    across=("dataset",),
    notes=f"{DECLARED} {ON_CIFAR}",
)
