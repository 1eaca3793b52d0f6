"""What the CIFAR-10 tables of Heo et al., AAAI 2019, have in common: networks, methods and recipe.

The settings' defaults are the authors' recipe: batches of 128, a rate of 0.1 that is constant in the initialisation and
falls to a fifth after 30, 60 and 80 % of the training, Nesterov momentum 0.9, weight decay 5e-4.

Differs from the authors' code: the teacher normalises by its running statistics; theirs does by each batch's while
boundaries are learnt, which moves the running ones, and goes on with those. Momentum is kept where the rate falls.

"""

from collections.abc import Mapping
from dataclasses import replace

from understudy.experiments.row import Row, declared

CITATION = "Heo, Lee, Yun & Choi, Knowledge Transfer via Distillation of Activation Boundaries, AAAI 2019"
NETWORKS = {
    "wrn_22_4": "wrn22-4",
    "wrn_16_4": "wrn16-4",
    "wrn_16_2": "wrn16-2",
    "wrn_10_4": "wrn10-4",
    "wrn_10_1": "wrn10-1",
}
LABELS = {
    "cross_entropy": "Cross-entropy",
    "kd": "KD",
    "fitnet+kd": "FitNet + KD",
    "fsp+kd": "FSP + KD",
    "at+kd": "AT + KD",
    "jacobian+kd": "Jacobian + KD",
    "ab+kd": "AB + KD",
}
# Our names where they are others. The authors' KD has T = 3, neither T^2 nor labels.
OURS = {"cross_entropy": "none", "kd": "kd_only"}
# A tenth of the epochs of the tables that have 20 + 100, for machines on which these would take days.
SHORT = "2+10"
SHORT_TOTAL = 12
SHORT_BATCH = 32
SHORT_NOTE = f"Rows of {SHORT} epochs, in batches of {SHORT_BATCH} and on 10 % of the images at most, are ours."

# Of every table, and of those with the other methods' rows.
DECLARED = declared(__doc__)
OF_OTHERS = (
    "Not known to us: whether AT and Jacobian matching were learnt beside KD, as here, or before it; the weights of "
    "FitNet, FSP, AT and Jacobian matching, and the connectors of FitNet and FSP."
)


def teacher_of(method: str, teacher: str = "wrn_22_4") -> str | None:
    """The recipe of the teacher; cross-entropy has none."""
    return None if method == "cross_entropy" else NETWORKS[teacher]


def settings(
    method: str,
    *,
    teacher: str = "wrn_22_4",
    student: str = "wrn_16_2",
    percent: float = 100,
    epochs: str = "20+100",
) -> dict[str, object]:
    """Our run for a published method and pair; methods without an initialisation train for the sum of the epochs."""
    return {
        "task": "distill",
        **({"teacher.model": NETWORKS[teacher]} if teacher_of(method, teacher) else {}),
        "student.model": NETWORKS[student],
        "method.name": OURS.get(method, method),
        "data.name": "cifar10",
        # So few images are trained on that measuring after each epoch would take longer than they do.
        **({"data.percent": percent, "run.eval_every": 10} if percent < 100 else {}),
        "epochs": epochs,
    }


def shortened(rows: Mapping[str, Row]) -> dict[str, Row]:
    """The rows again at a tenth of the epochs, on 10 % of the images at most, beside the same published numbers.

    Differs from the paper: batches of 32, not 128, so that so few epochs of 5,000 images still hold 1,872 steps.
    """
    return {f"{name}/{SHORT}": _shortened(row) for name, row in rows.items()}


def _shortened(row: Row) -> Row:
    percent = min(row.keys["percent_data"], 10, key=float)
    whole = "" if percent == row.keys["percent_data"] else ", all images"
    return replace(
        row,
        keys={**row.keys, "percent_data": percent, "epochs_total": SHORT_TOTAL, "batch_size": SHORT_BATCH},
        reading=f"{SHORT} epochs",
        published_budget=f"20+100 epochs{whole}",
        settings={
            **row.settings,
            "data.percent": percent,
            "epochs": SHORT,
            "batch_size": SHORT_BATCH,
            "run.eval_every": SHORT_TOTAL,
        },
    )
