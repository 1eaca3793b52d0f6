"""CIFAR-10, network sizes: Heo et al., AAAI 2019, table 3.

Five kinds of compression, on 10 % of the training images, 20 + 100 epochs.

Run:    understudy reproduce ab_table3 same_network --teacher-weights FILE
Expect: 6.63 % error for AB + KD where WRN 16-4 teaches WRN 16-4, with the paper's teacher.

The rows .../2+10 are a tenth of that, in batches of 32. Not known to us: whether an epoch shows each of the 5,000
images once, as here, or as many as the whole set has.

The paper's headings leave out that every method is combined with KD; the pair of 22-4 and 16-2 is that of table 2.
"""

from understudy.experiments.ab_cifar import (
    CITATION,
    DECLARED,
    LABELS,
    NETWORKS,
    OF_OTHERS,
    SHORT_NOTE,
    settings,
    shortened,
)
from understudy.experiments.row import Row, Table, declared

METHODS = ("kd", "fitnet+kd", "fsp+kd", "at+kd", "jacobian+kd", "ab+kd")

# Teacher, student, the student's parameters in per cent of the teacher's, and the methods' errors in per cent.
PUBLISHED = {
    "depth": ("wrn_22_4", "wrn_10_4", 27.9, (22.98, 23.34, 22.99, 18.06, 18.28, 14.05)),
    "channel": ("wrn_16_4", "wrn_16_2", 25.2, (20.48, 19.98, 19.78, 14.81, 14.41, 11.62)),
    "depth_and_channel": ("wrn_22_4", "wrn_16_2", 16.1, (21.21, 21.42, 20.80, 15.61, 15.03, 13.09)),
    "tiny_network": ("wrn_22_4", "wrn_10_1", 1.8, (29.57, 29.18, 28.70, 29.44, 28.70, 23.27)),
    "same_network": ("wrn_16_4", "wrn_16_4", 100, (18.29, 17.91, 17.81, 12.03, 11.28, 6.63)),
}


def _row(kind: str, teacher: str, student: str, ratio: float, method: str, published: float) -> Row:
    return Row(
        keys={
            "compression_type": kind,
            "method": method,
            "teacher": teacher,
            "student": student,
            "dataset": "cifar10",
            "size_ratio_percent": ratio,
            "percent_data": 10,
            "epochs_total": 120,
        },
        label=LABELS[method],
        published=published,
        teacher=NETWORKS[teacher],
        settings=settings(method, teacher=teacher, student=student, percent=10),
    )


WHOLE = {
    f"{kind}/{method}": _row(kind, teacher, student, ratio, method, published)
    for kind, (teacher, student, ratio, errors) in PUBLISHED.items()
    for method, published in zip(METHODS, errors, strict=True)
}

AB_TABLE3 = Table(
    name="ab_table3",
    title="Network sizes: CIFAR-10 error for five kinds of compression",
    citation=f"{CITATION}, table 3",
    rows=WHOLE | shortened(WHOLE),
    across=("compression_type",),
    notes=f"10 % of the training images, 20 + 100 epochs. {SHORT_NOTE} {declared(__doc__)} {DECLARED} {OF_OTHERS}",
)
