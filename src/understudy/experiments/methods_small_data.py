"""Every method once, at one short budget: CIFAR-10, 10 % of the training images, WRN 22-4 teaches WRN 16-2.

The set-up of Heo et al., AAAI 2019, table 2 (10 % column) and table 3 (both), at a tenth of their epochs: 12 in all,
divided by the phases' shares as the method has them. The published errors beside are those of 20 + 100 epochs.

Run:    understudy reproduce methods_small_data --teacher-weights FILE

500 images of each class, chosen with data.seed = 0. Every method has its default weights.

Differs from the paper: batches of 32, not 128, so that so few epochs still hold 1,872 steps.
"""

from understudy.experiments.row import Row, Table

EPOCHS = 12
BATCH_SIZE = 32

# Our name of the method -> its label, and the error that the paper prints for it at 20 + 100 epochs.
METHODS = {
    "none": ("Cross-entropy", 21.76),
    "kd": ("KD", None),
    "kd_only": ("KD without labels", 21.21),
    "dtl": ("DTL", None),
    "bss": ("BSS", None),
    "fitnet": ("FitNet", None),
    "lp": ("Lp, p = 2", None),
    "ab": ("AB", None),
    "ofd": ("OFD", None),
    "at": ("AT", None),
    "at_gradient": ("AT, gradient form", None),
    "nst": ("NST, polynomial", None),
    "fsp": ("FSP", None),
    "jacobian": ("Jacobian", None),
    "ft": ("FT", None),
    "kd_svd": ("KD-SVD", None),
    "mhgd": ("MHGD", None),
    "rkd": ("RKD", None),
    "selective": ("Selective KD", None),
    "fitnet+kd": ("FitNet + KD", 21.42),
    "fsp+kd": ("FSP + KD", 20.80),
    "at+kd": ("AT + KD", 15.61),
    "jacobian+kd": ("Jacobian + KD", 15.03),
    "ab+kd": ("AB + KD", 13.09),
}


def _row(name: str, label: str, published: float | None) -> Row:
    return Row(
        keys={
            "method": name,
            "teacher": "wrn_22_4",
            "student": "wrn_16_2",
            "dataset": "cifar10",
            "epochs_init": 0,
            "epochs_train": EPOCHS,
            "percent_data": 10,
        },
        label=label,
        published=published,
        published_budget="20+100 epochs",
        teacher="wrn22-4",
        settings={
            "task": "distill",
            "teacher.model": "wrn22-4",
            "student.model": "wrn16-2",
            "method.name": name,
            "data.name": "cifar10",
            "data.percent": 10,
            "epochs": EPOCHS,
            "batch_size": BATCH_SIZE,
            "run.eval_every": EPOCHS,
        },
    )


METHODS_SMALL_DATA = Table(
    name="methods_small_data",
    title="Every method on a tenth of CIFAR-10, at one short budget",
    citation="a table of our own, after Heo et al., AAAI 2019, table 2",
    rows={name: _row(name, label, published) for name, (label, published) in METHODS.items()},
    across=("epochs_init", "epochs_train"),
)
