"""Every budget of Heo et al.'s table 1, by the recipe that the search of `frontier` found; on the test images.

WRN 22-4 teaches WRN 16-2 on all of CIFAR-10. Beside each number stands the paper's best at as many epochs, AB + KD.

Run:    understudy reproduce best 1+1 1+5 --teacher-weights FILE
"""

from understudy.experiments.ab_cifar import CITATION, LABELS
from understudy.experiments.ab_table1 import BUDGETS, PUBLISHED
from understudy.experiments.frontier import CANDIDATES, candidate_settings
from understudy.experiments.row import Row, Table

BEST = "selected/kd"


def _row(init: int, train: int, published: float) -> Row:
    return Row(
        keys={
            "method": CANDIDATES[BEST][1],
            "teacher": "wrn_22_4",
            "student": "wrn_16_2",
            "dataset": "cifar10",
            "epochs_init": init,
            "epochs_train": train,
            "percent_data": 100,
            "recipe": BEST,
        },
        label="Best recipe",
        published=published,
        teacher="wrn22-4",
        settings=candidate_settings(BEST, f"{init}+{train}"),
    )


BEST_TABLE = Table(
    name="best",
    title="The lowest error at each budget: CIFAR-10 by a recipe found on held-out images",
    citation=f"a table of our own, beside {LABELS['ab+kd']} in {CITATION}, table 1",
    rows={
        f"{init}+{train}": _row(init, train, published)
        for (init, train), published in zip(BUDGETS, PUBLISHED["ab+kd"], strict=True)
    },
    across=("epochs_init", "epochs_train"),
    lower_is_better=True,
    notes=f"The recipe: {CANDIDATES[BEST][0]}, one cycle of the rate, for the sum of both numbers of epochs; "
    f"published: {LABELS['ab+kd']}.",
)
