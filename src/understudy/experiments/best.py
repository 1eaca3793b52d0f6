"""Every budget of Heo et al.'s table 1, by the recipe that the search of `frontier` found; on the test images.

WRN 22-4 teaches WRN 16-2 on all of CIFAR-10. Beside each number stands the paper's best at as many epochs, AB + KD.

Run:    understudy reproduce best 1+1 1+5 random/1+1 --teacher-weights FILE
"""

from dataclasses import replace

from understudy.experiments.ab_cifar import CITATION, LABELS
from understudy.experiments.ab_table1 import AB_TABLE1
from understudy.experiments.frontier import CANDIDATES, candidate_settings
from understudy.experiments.row import Row, Table

BEST = "selected/kd"
# The best that does not begin with the teacher's weights, which only a student of the same kind can.
BEST_FROM_RANDOM = "ab+ofd/joined"
LABELS_OF = {BEST: "Best recipe", BEST_FROM_RANDOM: "Best recipe from random weights"}
PAPERS = "ab+kd"


def _row(papers: Row, recipe: str) -> Row:
    """The recipe at the budget of the paper's row, beside its number."""
    init, train = (papers.keys[name] for name in ("epochs_init", "epochs_train"))
    return replace(
        papers,
        keys={**papers.keys, "method": CANDIDATES[recipe][1], "recipe": recipe},
        label=LABELS_OF[recipe],
        published_method=PAPERS,
        settings=candidate_settings(recipe, f"{init}+{train}"),
    )


def _rows(recipe: str, prefix: str = "") -> dict[str, Row]:
    return {
        f"{prefix}{name.removeprefix(f'{PAPERS}/')}": _row(row, recipe)
        for name, row in AB_TABLE1.rows.items()
        if row.keys["method"] == PAPERS
    }


BEST_TABLE = Table(
    name="best",
    title="The lowest error at each budget: CIFAR-10 by a recipe found on held-out images",
    citation=f"a table of our own, beside {LABELS[PAPERS]} in {CITATION}, table 1",
    rows={**_rows(BEST), **_rows(BEST_FROM_RANDOM, "random/")},
    across=("epochs_init", "epochs_train"),
    notes=f"The recipe: {CANDIDATES[BEST][0]}, one cycle of the rate, for the sum of both numbers of epochs; from "
    f"random weights: {CANDIDATES[BEST_FROM_RANDOM][0]}; published: {LABELS[PAPERS]}.",
)
