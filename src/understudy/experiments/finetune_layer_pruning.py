"""CUB-200 retrieval, fine-tuning with the highest layers pruned: Ro & Choi, AutoLR, AAAI 2021.

An ImageNet ResNet-50 is fine-tuned on the first 100 species and retrieves birds of the other 100. A layer is one of its
16 residual blocks; "until 15" keeps the first 14.

The authors' code: 50 epochs of 40 images a step, a rate of 1e-3 (the classifier's 1e-2) that falls to a fifth at 40,
Nesterov momentum 0.9, weight decay 5e-4; images resized to 224 x 224 and flipped, without a crop.

Differs from the authors' code: bilinear where theirs is bicubic; images longer than 4 to 3 lose their ends, and images
that are measured keep their proportions. An image's vector and its mirror image's are scaled to unit length before they
are added.

Not known to us: the rates of "until 15 *", which were found by hand; AutoLR, the nearest to it, is run there.
"""

from understudy.experiments.row import Row, Table, declared

RANKS = (1, 2, 4, 8)
RECIPE = {
    "task": "train",
    "data.name": "cub200-disjoint",
    "data.size": 224,
    "data.scale": (1.0, 1.0),
    "epochs": 50,
    "batch_size": 40,
    "optim.lr": 1e-3,
    "optim.milestones": (0.8,),
    "optim.decay_rate": 0.2,
    "optim.weight_decay": 5e-4,
    "optim.rates.objective": 10.0,
    "retrieval.loss": "cross_entropy",
    "retrieval.at": RANKS,
}
# Where the network ends, and the factors of the rate by layer.
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "original": ("torchvision:resnet50", {}),
    "prune_until_16": ("torchvision:resnet50@layer4.1", {}),
    "prune_until_15": ("torchvision:resnet50@layer4.0", {}),
    "prune_until_14": ("torchvision:resnet50@layer3", {}),
    "prune_until_15_dagger": ("torchvision:resnet50@layer4.0", {"optim.rates.layer1": 0.1}),
    "prune_until_15_double_dagger": (
        "torchvision:resnet50@layer4.0",
        {"optim.rates.layer3.5": 10.0, "optim.rates.layer4.0": 10.0},
    ),
    # The rates were found by hand and are not published; adjusting themselves is the nearest.
    "prune_until_15_star": ("torchvision:resnet50@layer4.0", {"optim.auto_rates": True}),
}
# Label, pruned layers, rates of the layers, and recall at 1, 2, 4 and 8 in per cent.
PUBLISHED = {
    "original": (
        "Original",
        "none",
        "single learning rate",
        (63.49, 75.03, 84.00, 90.58),
    ),
    "prune_until_16": (
        "Prune until 16",
        "16",
        "single learning rate",
        (66.95, 77.63, 86.39, 92.00),
    ),
    "prune_until_15": (
        "Prune until 15",
        "15,16",
        "single learning rate",
        (67.00, 78.49, 86.85, 92.07),
    ),
    "prune_until_14": (
        "Prune until 14",
        "14,15,16",
        "single learning rate",
        (51.00, 64.16, 75.44, 85.94),
    ),
    "prune_until_15_dagger": (
        "Prune until 15 †",
        "15,16",
        "layers 1,2,3: learning rate reduced to 1/10",
        (67.15, 78.61, 86.83, 92.08),
    ),
    "prune_until_15_double_dagger": (
        "Prune until 15 ‡",
        "15,16",
        "layers 13,14: learning rate increased 10 times",
        (67.29, 79.15, 87.36, 92.66),
    ),
    "prune_until_15_star": (
        "Prune until 15 *",
        "15,16",
        "all layers: learning rates adjusted by hand to meet hypothesis 2",
        (68.33, 79.88, 87.69, 92.71),
    ),
}


def _row(variant: str, rank: int, published: float) -> Row:
    label, pruned, rates, _ = PUBLISHED[variant]
    model, factors = VARIANTS[variant]
    return Row(
        keys={"variant": variant, "pruned_layers": pruned, "layer_learning_rates": rates},
        label=label,
        metric=f"recall_at_{rank}_percent",
        published=published,
        settings={**RECIPE, "student.model": model, **factors},
        start="resnet50-imagenet",
    )


FINETUNE_LAYER_PRUNING = Table(
    name="finetune_layer_pruning",
    title="Fine-tuning with the highest layers pruned and rates by layer",
    citation="Ro & Choi, AutoLR: Layer-wise Pruning and Auto-tuning of Learning Rates, AAAI 2021 (arXiv:2002.06048)",
    rows={
        f"{variant}/recall@{rank}": _row(variant, rank, published)
        for variant, (_, _, _, recalls) in PUBLISHED.items()
        for rank, published in zip(RANKS, recalls, strict=True)
    },
    across=("metric",),
    notes=declared(__doc__),
)
