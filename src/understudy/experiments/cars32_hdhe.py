"""Cars that were never seen: one head against two of different depth on a shared trunk, from 16 other models.

A table of our own. The cars are the images of cars32, pooled and divided by model: 544 to train on, 544 of 16 other
models to search among. A ResNet-18 at 96 pixels learns them from random weights.

Run:    understudy reproduce cars32_hdhe --seed 0
or      understudy train --model torchvision:resnet18 --data cars32-disjoint --epochs 30 --batch-size 32 --seed 0 \\
            data.size=96 retrieval.ensemble=hdhe optim.lr=0.02 optim.sched=onecycle run.eval_every=30
"""

from understudy.experiments.row import Row, Table

EPOCHS = 30
# Label and settings.
METHODS: dict[str, tuple[str, dict[str, object]]] = {
    "single": ("One head", {"retrieval.ensemble": "none"}),
    "hdhe": ("HDhE", {"retrieval.ensemble": "hdhe"}),
    # The paper's factors, 0.5 and 4, are for networks that know ImageNet; these start from random weights.
    "hdhe-one-rate": (
        "HDhE, both heads at the same rate",
        {
            "retrieval.ensemble": "hdhe",
            "optim.rates.trunk": 1.0,
            "optim.rates.heads": 1.0,
            "optim.rates.objective": 1.0,
        },
    ),
}
RANKS = (1, 2, 4, 8)


def _row(method: str, rank: int) -> Row:
    label, heads = METHODS[method]
    return Row(
        keys={"method": method, "backbone": "resnet_18", "dataset": "cars32"},
        label=label,
        metric=f"recall_at_{rank}_percent",
        published=None,
        settings={
            "task": "train",
            "student.model": "torchvision:resnet18",
            "data.name": "cars32-disjoint",
            "data.size": 96,
            "retrieval.loss": "cross_entropy",
            **heads,
            "epochs": EPOCHS,
            "batch_size": 32,
            "optim.lr": 0.02,
            "optim.sched": "onecycle",
            "run.eval_every": EPOCHS,
        },
    )


CARS32_HDHE = Table(
    name="cars32_hdhe",
    title="Cars that were never seen: one head against two on a shared trunk",
    citation="a table of our own",
    rows={f"{method}/recall@{rank}": _row(method, rank) for method in METHODS for rank in RANKS},
    across=("metric",),
)
