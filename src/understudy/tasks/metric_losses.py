"""What labels ask of embeddings: a classifier on top of them, or a loss of pytorch-metric-learning.

Everything here ends with training: classifiers and proxies are no part of the network that is kept.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from understudy.ops import at_least_float32, full_precision
from understudy.spec import nearest

CROSS_ENTROPY = "cross_entropy"
# Weights of the library's regularisers, of which none is asked for here.
UNUSED = ("embedding_reg_weight", "weight_reg_weight")


@dataclass(frozen=True, kw_only=True)
class MetricLoss:
    """A class of pytorch_metric_learning.losses; `by_class` where it has weights for each class.

    `needs_pairs` where a batch has to hold several images of a class. `options` are used unless others are given;
    `miner` is the one of `MINERS` that is part of the loss, as its paper has it.
    """

    make: str
    by_class: bool
    needs_pairs: bool
    options: Mapping[str, float]
    miner: str | None = None


def _of_pairs(make: str, miner: str | None = None, **options: float) -> MetricLoss:
    return MetricLoss(make=make, by_class=False, needs_pairs=True, options=options, miner=miner)


def _of_classes(make: str, **options: float) -> MetricLoss:
    return MetricLoss(make=make, by_class=True, needs_pairs=False, options=options)


# Numbers are the library's where none are named.
LOSSES: dict[str, MetricLoss] = {
    "triplet": _of_pairs("TripletMarginLoss", margin=0.2),  # as the teachers of RKD
    "contrastive": _of_pairs("ContrastiveLoss"),
    "margin": _of_pairs("MarginLoss"),
    "multi_similarity": _of_pairs("MultiSimilarityLoss", miner="multi_similarity"),
    "n_pairs": _of_pairs("NPairsLoss"),
    "circle": _of_pairs("CircleLoss"),
    "supcon": _of_pairs("SupConLoss"),
    "proxy_anchor": _of_classes("ProxyAnchorLoss"),
    "proxy_nca": _of_classes("ProxyNCALoss"),
    "normalised_softmax": _of_classes("NormalizedSoftmaxLoss"),
    "arcface": _of_classes("ArcFaceLoss"),
    "cosface": _of_classes("CosFaceLoss"),
    "soft_triple": _of_classes("SoftTripleLoss"),
}

ALL_PAIRS = "none"

# Name -> the class in pytorch_metric_learning.miners, and what it is told.
MINERS: dict[str, tuple[str, Mapping[str, str]]] = {
    "semihard": ("TripletMarginMiner", {"type_of_triplets": "semihard"}),
    "hard": ("TripletMarginMiner", {"type_of_triplets": "hard"}),
    "batch_hard": ("BatchHardMiner", {}),
    "batch_easy_hard": ("BatchEasyHardMiner", {}),
    "distance_weighted": ("DistanceWeightedMiner", {}),  # as the teachers of RKD
    "multi_similarity": ("MultiSimilarityMiner", {}),
    "angular": ("AngularMiner", {}),
}


def check_loss(name: str, miner: str | None = None) -> None:
    """Raises ValueError for a loss or a miner that there is not, with the nearest, and for two that do not go together.

    The miner is the loss's own where none is named.
    """
    known = [CROSS_ENTROPY, *LOSSES]
    if name not in known:
        raise ValueError(
            f"retrieval.loss: there is no loss {name!r}; there are {', '.join(known)}{nearest(name, known, cutoff=0.4)}"
        )
    known = [ALL_PAIRS, *MINERS]
    if miner is not None and miner not in known:
        raise ValueError(
            f"retrieval.miner: there is no miner {miner!r}; there are {', '.join(known)}"
            f"{nearest(miner, known, cutoff=0.4)}"
        )
    if miner is not None and not needs_pairs(name):
        pairs = ", ".join(loss for loss in LOSSES if needs_pairs(loss))
        raise ValueError(
            f"retrieval.miner={miner} chooses pairs of images, and {name} compares none; leave it out, or choose a "
            f"loss of pairs: {pairs}"
        )


def is_tied(name: str) -> bool:
    """Whether it is no mean over images: pairs of them, or Proxy-Anchor's sums over a batch for each class."""
    return needs_pairs(name) or name == "proxy_anchor"


def needs_pairs(name: str) -> bool:
    """Whether a batch has to hold several images of a class."""
    return name in LOSSES and LOSSES[name].needs_pairs


def make_loss(
    name: str, options: Mapping[str, float], num_classes: int, length: int, miner: str | None = None
) -> nn.Module:
    """What is called with embeddings (B, length) and labels (B,), and answers a scalar averaged over the batch.

    `miner` says which of `MINERS` chooses the pairs: the loss's own where it is not given, all of them with "none".
    Raises ValueError for an unknown name or option, and where pytorch-metric-learning is not installed.
    """
    check_loss(name, miner)
    if name == CROSS_ENTROPY:
        return Classifier(length, num_classes, **_checked(name, options, Classifier))
    try:
        from pytorch_metric_learning import losses
    except ImportError as error:
        raise ValueError(
            f"retrieval.loss={name} needs pytorch-metric-learning: pip install pytorch-metric-learning"
        ) from error
    wanted = LOSSES[name]
    make = getattr(losses, wanted.make)
    sizes = {"num_classes": num_classes, "embedding_size": length} if wanted.by_class else {}
    loss = make(**sizes, **{**wanted.options, **_checked(name, options, make)})
    return FromLibrary(loss, _make_miner(miner or wanted.miner or ALL_PAIRS, loss))


def _make_miner(name: str, loss: nn.Module) -> nn.Module | None:
    """None for all pairs. One of triplets looks at those that the margin of the loss, if it is theirs too, counts."""
    from pytorch_metric_learning import losses, miners

    if name == ALL_PAIRS:
        return None
    make, options = MINERS[name]
    is_of_triplets = make == "TripletMarginMiner" and isinstance(loss, losses.TripletMarginLoss)
    return getattr(miners, make)(**options, **({"margin": loss.margin} if is_of_triplets else {}))


def _checked(name: str, options: Mapping[str, float], make: Callable[..., Any]) -> dict[str, float]:
    """The options, where what makes the loss has them as numbers. Whole numbers stay whole."""
    classes = [one for one in inspect.getmro(make) if one is not object] if inspect.isclass(make) else []
    known = {
        key: one.default
        for each in reversed(classes)
        for key, one in inspect.signature(each.__init__).parameters.items()
        if isinstance(one.default, int | float) and not isinstance(one.default, bool) and key not in UNUSED
    }
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        usual = {**known, **(LOSSES[name].options if name in LOSSES else {})}
        listed = ", ".join(f"{key}={value:g}" for key, value in usual.items()) or "none"
        raise ValueError(f"retrieval.options: {name} has no {', '.join(unknown)}; it has {listed}")
    return {
        key: int(value) if isinstance(known[key], int) and value == int(value) else value
        for key, value in options.items()
    }


class Classifier(nn.Module):
    """Cross-entropy of a linear layer to `width` numbers, BatchNorm, leaky ReLU, dropout and a classifier.

    As in the authors' programs of AutoLR and HDhE (Ro & Choi): initial weights, widths and dropout are theirs.
    """

    def __init__(self, length: int, num_classes: int, width: float = 512, dropout: float = 0.5):
        super().__init__()
        self.reduce = nn.Linear(length, int(width))
        self.norm = nn.BatchNorm1d(int(width))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(int(width), num_classes)
        nn.init.kaiming_normal_(self.reduce.weight, mode="fan_out")
        nn.init.normal_(self.norm.weight, 1.0, 0.02)
        nn.init.normal_(self.classify.weight, std=0.001)
        for bias in (self.reduce.bias, self.norm.bias, self.classify.bias):
            nn.init.zeros_(bias)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        reduced = self.norm(self.reduce(embeddings))
        return F.cross_entropy(at_least_float32(self.classify(self.dropout(F.leaky_relu(reduced, 0.1)))), labels)


class FromLibrary(nn.Module):
    """A loss of pytorch-metric-learning in full precision, on the pairs that its miner chooses."""

    def __init__(self, loss: nn.Module, miner: nn.Module | None):
        super().__init__()
        self.loss = loss
        self.miner = miner

    # The library chooses pairs by their numbers, which no graph can hold.
    @torch.compiler.disable
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = at_least_float32(embeddings)
        with full_precision(embeddings):
            chosen = None if self.miner is None else self.miner(embeddings, labels)
            return self.loss(embeddings, labels, chosen)


class OfParts(nn.Module):
    """The sum of one loss for each part of the embeddings: each head of an ensemble learns by itself."""

    def __init__(self, losses: list[nn.Module], parts: tuple[int, ...]):
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.parts = parts

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        if labels.ndim != 1:
            raise ValueError("losses of embeddings take one label for an image; leave out data.mixup and the like")
        pieces = embeddings.split(self.parts, dim=1)
        return torch.stack([loss(piece, labels) for loss, piece in zip(self.losses, pieces, strict=True)]).sum()
