"""CIFAR-10 and CIFAR-100, single methods: Huang & Wang, arXiv 2017, table 1.

Run:    understudy reproduce nst_table1 nst_polynomial/cifar10 --teacher-weights FILE
Expect: 4.39 % error for NST with the polynomial kernel on CIFAR-10, with the paper's teacher.
"""

from understudy.experiments.nst import CITATION, DECLARED, ON_CIFAR, cifar_row
from understudy.experiments.row import Table

# Error in per cent on CIFAR-10 and CIFAR-100.
PUBLISHED = {
    "cross_entropy": (5.80, 25.63),
    "kd": (4.47, 22.18),
    "fitnet": (4.75, 23.48),
    "at": (4.64, 24.31),
    "nst_linear": (4.87, 24.28),
    "nst_polynomial": (4.39, 23.46),
    "nst_gaussian": (4.48, 23.85),
    "teacher": (4.04, 20.50),
}

NST_TABLE1 = Table(
    name="nst_table1",
    title="CIFAR error of single transfer methods",
    citation=f"{CITATION}, table 1",
    rows={
        f"{method}/{dataset}": cifar_row(method, dataset, published)
        for method, errors in PUBLISHED.items()
        for dataset, published in zip(("cifar10", "cifar100"), errors, strict=True)
    },
    across=("dataset",),
    notes=f"{DECLARED} {ON_CIFAR}",
)
