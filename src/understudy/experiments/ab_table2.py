"""CIFAR-10, small training data: Heo et al., AAAI 2019, table 2.

WRN 22-4, trained on all images, teaches WRN 16-2 on a share of them: 0.1 % is five images of each class.

Run:    understudy reproduce ab_table2 0.1 --teacher-weights FILE
Expect: 50.32 % error for AB + KD on 0.1 % of the images and 73.83 % for cross-entropy are published; each image once an
        epoch, 82.90 and 78.81 % were measured here.

Not known to us: what an epoch of so few images is, and how many there were (here 20 + 100, as in table 1). Of 50 images
it may be one step, which makes 120 steps in all, or as many steps as the whole set has: both readings are rows, for
0.1, 1 and 5 %; at 10 and 20 % an epoch shows each image once.

The rows .../2+10 are a tenth of the epochs, in batches of 32.
"""

from understudy.experiments.ab_cifar import (
    CITATION,
    DECLARED,
    LABELS,
    OF_OTHERS,
    SHORT_NOTE,
    settings,
    shortened,
    teacher_of,
)
from understudy.experiments.row import Row, Table, declared

PERCENT = (0.1, 1, 5, 10, 20, 100)
WHOLE_SET = 50_000

# Error in per cent at each share of the images.
PUBLISHED = {
    "cross_entropy": (73.83, 48.41, 28.12, 21.76, 15.26, 6.47),
    "kd": (74.62, 48.34, 28.13, 21.21, 14.62, 6.19),
    "fitnet+kd": (74.81, 49.91, 27.28, 21.42, 14.52, 6.28),
    "fsp+kd": (73.96, 47.98, 26.90, 20.80, 13.85, 6.22),
    "at+kd": (67.54, 37.11, 18.86, 15.61, 9.94, 5.80),
    "jacobian+kd": (68.65, 36.99, 18.34, 15.03, 9.83, 5.77),
    "ab+kd": (50.32, 21.54, 14.99, 13.09, 9.16, 5.58),
}


def _row(method: str, percent: float, published: float, epoch_images: int | None = None) -> Row:
    """`epoch_images`: how many images an epoch shows, where it is not each image once."""
    row = settings(method, percent=percent)
    keys = {
        "method": method,
        "teacher": "wrn_22_4",
        "student": "wrn_16_2",
        "dataset": "cifar10",
        "percent_data": percent,
    }
    return Row(
        keys=keys if epoch_images is None else {**keys, "epoch_images": epoch_images},
        label=LABELS[method],
        reading="" if epoch_images is None else f"epochs of {epoch_images:,} images",
        published=published,
        teacher=teacher_of(method),
        settings=row if epoch_images is None else {**row, "data.epoch_images": epoch_images},
    )


PLAIN = {
    f"{method}/{percent}": _row(method, percent, published)
    for method, errors in PUBLISHED.items()
    for percent, published in zip(PERCENT, errors, strict=True)
}
LONG = {
    f"{method}/{percent}/long": _row(method, percent, published, WHOLE_SET)
    for method, errors in PUBLISHED.items()
    for percent, published in zip(PERCENT, errors, strict=True)
    if percent < 10
}

SHORTER = shortened({name: row for name, row in PLAIN.items() if row.keys["percent_data"] in (5, 10)})

AB_TABLE2 = Table(
    name="ab_table2",
    title="Small training data: CIFAR-10 error with part of the training images",
    citation=f"{CITATION}, table 2",
    rows={**PLAIN, **LONG, **SHORTER},
    across=("percent_data",),
    notes=f"{SHORT_NOTE} {declared(__doc__)} {DECLARED} {OF_OTHERS}",
)
