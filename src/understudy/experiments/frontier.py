"""The frontier at 1 + 1 epochs: which recipe gets most out of two epochs, chosen on images that are held out.

WRN 22-4 teaches WRN 16-2 on CIFAR-10. A tenth of the training images is held out to choose by; each row changes what
its name says of AB + KD as the paper has it (16.39 % test error). The test images choose nothing. The teacher was
trained on the held-out images, too: a student that follows it closely errs less on them than on test images, so that
its lead over one that follows labels is flattered.

Run:    understudy reproduce frontier --teacher-weights FILE
"""

from understudy.experiments.ab_cifar import LABELS, settings
from understudy.experiments.row import Row, Table

HELD_OUT = 0.1
# Name -> what the row is called, the method, its epochs, and what is changed.
RISE_AND_FALL: dict[str, object] = {"phases.train.sched": "onecycle"}
IN_BOTH: dict[str, object] = {**RISE_AND_FALL, "phases.initialise.sched": "onecycle"}
# What helped AB + KD most by itself, taken together.
JOINED: dict[str, object] = {**IN_BOTH, "terms.ab.margin": 4.0, "batch_size": 64}
# The student begins with parts of the teacher's weights, and the rate rises and falls.
SELECTED: dict[str, object] = {**RISE_AND_FALL, "student.from_teacher": True}
CANDIDATES: dict[str, tuple[str, str, str, dict[str, object]]] = {
    "ab+kd": ("AB + KD, as in the paper", "ab+kd", "1+1", {}),
    "ab+kd/onecycle": ("one cycle of the rate in the training", "ab+kd", "1+1", RISE_AND_FALL),
    "ab+kd/onecycle-in-both": ("one cycle of the rate in both phases", "ab+kd", "1+1", IN_BOTH),
    "ab+kd/margin-2": ("margin 2", "ab+kd", "1+1", {"terms.ab.margin": 2.0}),
    "ab+kd/margin-4": ("margin 4", "ab+kd", "1+1", {"terms.ab.margin": 4.0}),
    "ab+kd/strong": ("AB weighs four times as much", "ab+kd", "1+1", {"terms.ab.weight": 12e-3}),
    "ab+kd/labels": ("with labels", "ab+kd", "1+1", {"method.labels": True}),
    "ab+kd/strong-kd": ("KD with its factor T^2", "ab+kd", "1+1", {"terms.kd.weight": 1.0}),
    "ab+kd/small-batches": ("batches of 64", "ab+kd", "1+1", {"batch_size": 64}),
    "ab+kd/as-they-are": ("without augmentation", "ab+kd", "1+1", {"data.augment": False}),
    "ab+kd/joined": ("margin 4, batches of 64, one cycle in both phases", "ab+kd", "1+1", JOINED),
    "ab+kd/joined/strong-kd": ("the same, KD with T^2", "ab+kd", "1+1", {**JOINED, "terms.kd.weight": 1.0}),
    "kd/onecycle": ("KD, one cycle of the rate", "kd", "2", RISE_AND_FALL),
    "ofd": ("OFD", "ofd", "2", {}),
    "ofd/onecycle": ("OFD, one cycle of the rate", "ofd", "2", RISE_AND_FALL),
    "ofd+kd/onecycle": ("OFD + KD, one cycle of the rate", "ofd+kd", "2", RISE_AND_FALL),
    "ab+ofd/onecycle": ("AB, then OFD, one cycle of the rate", "ab+ofd", "1+1", RISE_AND_FALL),
    "ab+ofd/joined": ("AB, then OFD, margin 4, batches of 64, one cycle in both phases", "ab+ofd", "1+1", JOINED),
    "selected/none": ("weight selection, labels alone", "none", "2", SELECTED),
    "selected/kd": ("weight selection, KD", "kd", "2", SELECTED),
    "selected/kd/slow": ("weight selection, KD, rate 0.03", "kd", "2", {**SELECTED, "optim.lr": 0.03}),
    "selected/kd/labels": ("weight selection, KD, with labels", "kd", "2", {**SELECTED, "method.labels": True}),
    "selected/kd/strong": ("weight selection, KD with T^2", "kd", "2", {**SELECTED, "terms.kd.weight": 1.0}),
    "selected/kd/strong+labels": (
        "weight selection, KD with T^2, with labels",
        "kd",
        "2",
        {**SELECTED, "terms.kd.weight": 1.0, "method.labels": True},
    ),
    "selected/kd/small-batches": ("weight selection, KD, batches of 64", "kd", "2", {**SELECTED, "batch_size": 64}),
    "selected/ab+kd": ("weight selection, AB + KD", "ab+kd", "1+1", {**SELECTED, **IN_BOTH}),
    "selected/ofd+kd": ("weight selection, OFD + KD", "ofd+kd", "2", SELECTED),
    "selected/ofd+kd/slow": ("weight selection, OFD + KD, rate 0.03", "ofd+kd", "2", {**SELECTED, "optim.lr": 0.03}),
}


def _row(name: str) -> Row:
    label, method, epochs, _ = CANDIDATES[name]
    return Row(
        keys={
            "method": method,
            "teacher": "wrn_22_4",
            "student": "wrn_16_2",
            "dataset": "cifar10",
            "epochs_init": 1,
            "epochs_train": 1,
            "percent_data": 90,
            "recipe": name,
        },
        label=label,
        metric="validation_error_percent",
        published=None,
        teacher="wrn22-4-quick",
        settings={**candidate_settings(name, epochs), "data.validation": HELD_OUT},
    )


def candidate_settings(name: str, epochs: str) -> dict[str, object]:
    """The recipe's run on all training images."""
    _, method, _, changed = CANDIDATES[name]
    return {**settings(method, epochs=epochs), **changed}


FRONTIER = Table(
    name="frontier",
    title="Two epochs: recipes by their error on held-out images of CIFAR-10",
    citation=f"a table of our own, beside {LABELS['ab+kd']} at 1 + 1 in Heo et al., AAAI 2019, table 1",
    rows={name: _row(name) for name in CANDIDATES},
    across=("epochs_init", "epochs_train"),
    notes="Error in per cent on 5,000 training images that are held out of the student's training, but not of its "
    "teacher's; the test images choose nothing.",
)
