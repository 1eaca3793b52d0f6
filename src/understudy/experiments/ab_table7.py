"""CIFAR-10, equal activations: Heo et al., AAAI 2019, table 7.

WRN 16-4 teaches WRN 16-4 by four losses: the share of neurons that are active in the student where they are in the
teacher, by layer, and the error.

Run:    understudy reproduce ab_table7 --teacher-weights FILE
Expect: 96.3, 96.4 and 92.8 % equal activations with AB, and 5.1 % error, with the paper's teacher.

Not known to us: how many epochs there were, here 20 + 100; the weight of L2, L1 and L0.5, here AB's; whether the
numbers are from after the initialisation or after the training by KD, and on which images. Ours are from the end of the
run: activations on 512 test images, evenly spaced, the error on all. The rows .../2+10 are a tenth of the epochs on a
tenth of the images, in batches of 32.
"""

from understudy.experiments.ab_cifar import CITATION, DECLARED, SHORT_NOTE, settings, shortened
from understudy.experiments.row import Row, Table, declared

LABELS = {"l2": "L2", "l1": "L1", "l0.5": "L0.5", "ab": "AB"}

# Equal activations in per cent at each layer, and the error in per cent.
PUBLISHED = {
    "l2": (56.1, 67.3, 56.0, 10.1),
    "l1": (66.9, 72.5, 56.1, 9.8),
    "l0.5": (68.8, 73.0, 56.4, 9.6),
    "ab": (96.3, 96.4, 92.8, 5.1),
}


def _settings(loss: str) -> dict[str, object]:
    own = settings("ab+kd", teacher="wrn_16_4", student="wrn_16_4")
    if loss == "ab":
        return own
    power = float(loss.removeprefix("l"))
    return {**own, "method.name": "lp+kd_only", "method.labels": False, "terms.lp.p": power}


def _row(loss: str, layer: str, published: float) -> Row:
    return Row(
        keys={
            "transfer_loss": loss,
            "teacher": "wrn_16_4",
            "student": "wrn_16_4",
            "dataset": "cifar10",
            "layer": layer,
            "percent_data": 100,
        },
        label=LABELS[loss],
        metric="error_percent" if layer == "all" else "same_activation_percent",
        published=published,
        teacher="wrn16-4",
        settings=_settings(loss),
    )


WHOLE = {
    f"{loss}/{layer}": _row(loss, layer, published)
    for loss, values in PUBLISHED.items()
    for layer, published in zip(("layer1", "layer2", "layer3", "all"), values, strict=True)
}

AB_TABLE7 = Table(
    name="ab_table7",
    title="Equal activations of teacher and student, by layer, for four losses",
    citation=f"{CITATION}, table 7",
    rows=WHOLE | shortened(WHOLE),
    across=("layer", "metric"),
    notes=f"{SHORT_NOTE} {declared(__doc__)} {DECLARED}",
)
