"""CIFAR-10, layer by layer: Heo et al., AAAI 2019, table 6.

WRN 22-4 teaches WRN 16-2 on 10 % of the images, at the end of one group of layers or of all three.

Run:    understudy reproduce ab_table6 multi_layer --teacher-weights FILE
Expect: 13.09 % error for AB + KD on all layers, with the paper's teacher.

A layer by itself weighs as much as among all of them: AB's first layer a quarter of its last. FitNet's entry in
the other tables is that of the third layer.

The rows .../2+10 are a tenth of the epochs, in batches of 32.

Not known to us: the networks, which are taken to be table 2's; FSP's matrix of a layer, here that of the group's
beginning and end, and among all layers those of the second and the third; whether an epoch shows each of the 5,000
images once, as here, or as many as the whole set has.
"""

from understudy.experiments.ab_cifar import CITATION, DECLARED, LABELS, OF_OTHERS, SHORT_NOTE, settings, shortened
from understudy.experiments.row import Row, Table, declared

LAYERS = ("layer1", "layer2", "layer3")

# Error in per cent at each layer and at all of them; KD reads none.
PUBLISHED_KD = 21.21
PUBLISHED = {
    "fitnet+kd": (21.90, 22.00, 21.42, 21.83),
    "fsp+kd": (21.55, 21.28, 21.27, 20.80),
    "at+kd": (20.18, 17.64, 17.48, 15.61),
    "jacobian+kd": (19.52, 15.45, 23.61, 15.03),
    "ab+kd": (19.06, 15.37, 17.23, 13.09),
}

# Where each method reads a wide residual network, by layer.
BEFORE_RELU = ("block2.layer.0.bn1", "block3.layer.0.bn1", "bn1")
AFTER_RELU = ("block2.layer.0.relu()#1", "block3.layer.0.relu()#1", "relu()")
GROUP_END = ("block1", "block2", "block3")
POSITIONS = {
    "fitnet+kd": {"fitnet": [(name,) for name in AFTER_RELU]},
    "fsp+kd": {"fsp": [("conv1", "block1"), ("block1", "block2"), ("block2", "block3")]},
    "at+kd": {"at": [(name,) for name in GROUP_END]},
    "jacobian+kd": {term: [(name,) for name in GROUP_END] for term in ("jacobian", "jacobian_at")},
    "ab+kd": {"ab": [(name,) for name in BEFORE_RELU]},
}
AB_WEIGHT = 3e-3


def _at(method: str, layer: str) -> dict[str, object]:
    """The settings that confine a method to one layer; at all of them FitNet differs from its default."""
    if layer == "multi_layer":
        return {"terms.fitnet.layers": "all"} if method == "fitnet+kd" else {}
    index = LAYERS.index(layer)
    chosen: dict[str, object] = {
        f"terms.{term}.positions": ",".join(f"{name}={name}" for name in by_layer[index])
        for term, by_layer in POSITIONS[method].items()
    }
    return chosen | ({"terms.ab.weight": AB_WEIGHT / 2 ** (2 - index)} if method == "ab+kd" else {})


def _row(method: str, layer: str, published: float, further: dict[str, object]) -> Row:
    return Row(
        keys={
            "method": method,
            "teacher": "wrn_22_4",
            "student": "wrn_16_2",
            "dataset": "cifar10",
            "layer": layer,
            "percent_data": 10,
            "epochs_total": 120,
        },
        label=LABELS[method],
        published=published,
        teacher="wrn22-4",
        settings={**settings(method, percent=10), **further},
    )


WHOLE = {
    "kd": _row("kd", "none", PUBLISHED_KD, {}),
    **{
        f"{method}/{layer}": _row(method, layer, published, _at(method, layer))
        for method, errors in PUBLISHED.items()
        for layer, published in zip((*LAYERS, "multi_layer"), errors, strict=True)
    },
}

AB_TABLE6 = Table(
    name="ab_table6",
    title="Layer by layer: CIFAR-10 error when one layer or all are transferred",
    citation=f"{CITATION}, table 6",
    rows=WHOLE | shortened(WHOLE),
    across=("layer",),
    notes=f"10 % of the training images, 20 + 100 epochs. {SHORT_NOTE} KD reads no layer. {declared(__doc__)} "
    f"{DECLARED} {OF_OTHERS}",
)
