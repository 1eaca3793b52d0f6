"""CIFAR-10, the margin: Heo et al., AAAI 2019, table 8.

WRN 22-4 teaches WRN 16-2 by AB + KD on 10 % of the images, with five margins.

Run:    understudy reproduce ab_table8 --teacher-weights FILE
Expect: 13.1 % error at a margin of 1, 11.7 % at 4, with the paper's teacher.

The rows .../2+10 are a tenth of the epochs, in batches of 32.

Not known to us: the networks and how many epochs there were, which are taken to be table 2's; whether an epoch shows
each of the 5,000 images once, as here, or as many as the whole set has.
"""

from understudy.experiments.ab_cifar import CITATION, DECLARED, LABELS, SHORT_NOTE, settings, shortened
from understudy.experiments.row import Row, Table, declared

# Margin -> error in per cent.
PUBLISHED = {0.75: 13.9, 1: 13.1, 1.5: 12.1, 2: 12.1, 4: 11.7}


def _row(margin: float, published: float) -> Row:
    own = settings("ab+kd", percent=10)
    return Row(
        keys={
            "method": "ab+kd",
            "teacher": "wrn_22_4",
            "student": "wrn_16_2",
            "dataset": "cifar10",
            "percent_data": 10,
            "margin": margin,
        },
        label=LABELS["ab+kd"],
        published=published,
        teacher="wrn22-4",
        # A margin of 1 is the method's own: the run is that of table 2.
        settings=own if margin == 1 else {**own, "terms.ab.margin": margin},
    )


WHOLE = {f"{margin}": _row(margin, published) for margin, published in PUBLISHED.items()}

AB_TABLE8 = Table(
    name="ab_table8",
    title="The margin: CIFAR-10 error for five values of it",
    citation=f"{CITATION}, table 8",
    rows=WHOLE | shortened(WHOLE),
    across=("margin",),
    notes=f"10 % of the training images, 20 + 100 epochs. {SHORT_NOTE} {declared(__doc__)} {DECLARED}",
)
