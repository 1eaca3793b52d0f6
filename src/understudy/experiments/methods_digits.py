"""Every method once on scikit-learn's digits: five scans of each, a student a quarter of its teacher's size.

A table of our own, that takes seconds a row. The papers' weights are for larger networks, so every term is balanced to
the length of the labels' gradient.

Run:    understudy train --model digits-2x16 --data digits --epochs 12 --out runs/digits optim.sched=onecycle
        understudy reproduce methods_digits --teacher-weights runs/digits/student.safetensors
"""

from dataclasses import replace

from understudy.experiments.methods_small_data import METHODS_SMALL_DATA
from understudy.experiments.row import Row, Table

EPOCHS = 200
OTHERWISE = {
    "teacher.model": "digits-2x16",
    "student.model": "digits-2x8",
    "data.name": "digits",
    "data.percent": 3.5,
    "epochs": EPOCHS,
    "batch_size": 25,
    "run.balance": 1.0,
    "run.eval_every": EPOCHS,
}

KEYS = {
    "teacher": "digits_2x16",
    "student": "digits_2x8",
    "dataset": "digits",
    "percent_data": 3.5,
    "epochs_train": EPOCHS,
}


def _row(row: Row) -> Row:
    return replace(
        row,
        keys={**row.keys, **KEYS},
        published=None,
        published_budget=None,
        teacher="digits-2x16",
        settings={**row.settings, **OTHERWISE},
    )


METHODS_DIGITS = Table(
    name="methods_digits",
    title="Every method on scans of digits",
    citation="a table of our own",
    rows={name: _row(row) for name, row in METHODS_SMALL_DATA.rows.items()},
    across=("epochs_init", "epochs_train"),
)
