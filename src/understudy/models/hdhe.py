"""Heads of different depth, stride and learning rate on one trunk, whose embeddings are searched together.

Ro & Choi, "Heterogeneous Double-Head Ensemble for Deep Metric Learning", IEEE Access 2020. The trunk of a ResNet is
shared up to its second stage (the authors' B2); each head has the later stages for itself, up to a block of its own.

The vector of a head ("feature"), of the last block kept:
- original: what the block answers, pooled (2048 numbers in ResNet-50)
- linear: the same through a linear layer to `length` numbers, 512 unless told otherwise
- penultimate: without the block's last convolution and shortcut, up to its last BatchNorm but one (512 numbers)
- penultimate+: the same after its ReLU; this is how the authors' program carries out what they call so, for the
  shortcut in its code is never taken

Differs from the authors' program: the second head brings no unused copy of the trunk. What they mean by penultimate
without the plus, by Ms-HDhE and by the third head of Tri-HDhE is not published: these are our reading.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from understudy.models.embedding import Form, Head, Unit, classifier
from understudy.modes import evaluating

LENGTH = 512
HDHE = (Head(rate=0.5), Head(blocks=1, rate=4.0))
# By name: the heads, and up to where the trunk is shared.
ENSEMBLES: dict[str, tuple[tuple[Head, ...], str]] = {
    "hdhe": (HDHE, "layer2"),
    "ms-hdhe": (HDHE, "layer3"),
    "tri-hdhe": ((HDHE[0], Head(blocks=2), HDHE[1]), "layer2"),
}
CONVOLUTION = re.compile(r"conv(\d+)")


def ensemble(name: str) -> tuple[tuple[Head, ...], str]:
    """The heads of "hdhe", "ms-hdhe" or "tri-hdhe", and where their trunk ends."""
    return ENSEMBLES[name]


class HeadsOnTrunk(nn.Module):
    """Images (B, C, H, W) -> the heads' vectors side by side (B, sum of their lengths); in eval mode all are as long.

    `rates` are the factors of the learning rate by the names of the layers: the trunk learns at the first head's.
    """

    def __init__(self, trunk: nn.Module, heads: Sequence[nn.Module], lengths: tuple[int, ...], form: Form):
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(heads)
        self.unit = Unit(lengths, form)
        self.taps = {"embedding": ("unit",)}
        self.rates = {
            "trunk": form.heads[0].rate,
            **{f"heads.{number}": head.rate for number, head in enumerate(form.heads)},
        }

    def forward(self, images: Tensor) -> Tensor:
        shared = self.trunk(images)
        return self.unit(torch.cat([head(shared) for head in self.heads], dim=1))


def hdhe(networks: Sequence[nn.Module], form: Form, images: Tensor) -> HeadsOnTrunk:
    """The heads that `form` declares, one from each of the networks, on the first one's trunk.

    The networks are alike but for their weights; what is not used of them is let go. Raises ValueError where a network
    is not a row of stages of residual blocks, or a head cannot be made of it.
    """
    rows = [_row(network, images) for network in networks]
    stages = [name for name, module in rows[0].items() if _is_stage(module)]
    stage, num_shared = _shared(form.shared, rows[0], stages)
    before = list(rows[0])[: list(rows[0]).index(stage)]
    first: list[tuple[str, nn.Module]] = [(name, rows[0][name]) for name in before]
    trunk = nn.Sequential(OrderedDict([*first, (stage, _blocks(rows[0][stage], 0, num_shared))]))
    later = stages[stages.index(stage) + 1 :]
    heads = []
    for number, (row, head) in enumerate(zip(rows, form.heads, strict=True)):
        rest = _blocks(row[stage], num_shared)
        layers = [(stage, rest)] if len(rest) else []
        layers += [(name, row[name]) for name in later[:-1]]
        layers.append((later[-1], _last_stage(row[later[-1]], head, form, f"head {number + 1}", later[-1])))
        heads.append(nn.Sequential(OrderedDict([*layers, ("pool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten())])))
    lengths = _lengths(trunk, heads, images)
    if form.feature == "linear":
        wanted = form.length or LENGTH
        for head, length in zip(heads, lengths, strict=True):
            head.add_module("linear", nn.Linear(length, wanted))
        lengths = (wanted,) * len(heads)
    return HeadsOnTrunk(trunk, heads, lengths, form)


def _row(network: nn.Module, images: Tensor) -> dict[str, nn.Module]:
    """The network's modules in order, up to its last stage; ValueError where they do not run one after the other."""
    children = dict(network.named_children())
    stages = [name for name, module in children.items() if _is_stage(module)]
    if len(stages) < 2:
        raise ValueError(
            f"heads are made of a residual network whose stages are rows of blocks with conv1, bn1, conv2, ..., as in "
            f"torchvision:resnet50, timm:resnet18 or resnet20; {type(network).__name__} has {len(stages)} of them"
        )
    names = list(children)[: list(children).index(stages[-1]) + 1]
    plain = {name: children[name] for name in names}
    # Our own networks call the ReLU after their first BatchNorm as a function.
    place = names.index(stages[0])
    activated = {**{name: plain[name] for name in names[:place]}, "relu": nn.ReLU()}
    activated |= {name: plain[name] for name in names[place:]}
    wanted = _before_classifier(network, images)
    for row in (plain, activated):
        if _is_same(row, images, wanted):
            return row
    raise ValueError(f"{type(network).__name__} does more between its layers than to run them one after the other")


@torch.no_grad()
def _before_classifier(network: nn.Module, images: Tensor) -> Tensor:
    """What enters the last linear layer."""
    found: list[Tensor] = []
    _, layer = classifier(network, images)
    hook = layer.register_forward_pre_hook(lambda _module, inputs: found.append(inputs[0]))
    with evaluating(network):
        network(_example(images))
    hook.remove()
    return found[0]


@torch.no_grad()
def _is_same(row: dict[str, nn.Module], images: Tensor, wanted: Tensor) -> bool:
    sequence = nn.Sequential(*row.values(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    try:
        with evaluating(sequence):
            found = sequence(_example(images))
    except (RuntimeError, NotImplementedError):
        return False  # the rows do not even run as a chain, so they are not what the network computes
    return found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-3, atol=1e-5)


def _example(images: Tensor) -> Tensor:
    """Images that are not all alike, and the same every time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images.shape, generator=generator).to(images)


def _is_stage(module: nn.Module) -> bool:
    blocks = [*module.children()]
    return bool(blocks) and isinstance(module, nn.Sequential) and all(len(_convolutions(block)) > 1 for block in blocks)


def _convolutions(block: nn.Module) -> list[str]:
    """conv1, conv2, ... of a block, in the order of their numbers, where each has its BatchNorm bn1, bn2, ..."""
    numbers = sorted(int(match[1]) for name, _ in block.named_children() if (match := CONVOLUTION.fullmatch(name)))
    return [f"conv{number}" for number in numbers if hasattr(block, f"bn{number}")]


def _shared(name: str, row: dict[str, nn.Module], stages: list[str]) -> tuple[str, int]:
    """'layer2' -> (layer2, all its blocks); 'layer3.1' -> (layer3, the first two). The last stage is never shared."""
    stage, _, block = name.partition(".")
    if stage not in stages[:-1] or (block and not block.isdigit()):
        known = ", ".join([*stages[:-1], f"{stages[-2]}.0"])
        raise ValueError(
            f"retrieval.shared={name}: the trunk ends with a stage before the last one, or a block of it: {known}"
        )
    total = len([*row[stage].children()])
    if block and int(block) >= total:
        raise ValueError(f"retrieval.shared={name}: {stage} has the blocks 0 to {total - 1}")
    return stage, int(block) + 1 if block else total


def _blocks(stage: nn.Module, start: int, end: int | None = None) -> nn.Sequential:
    """Some blocks of a stage under their own numbers."""
    return nn.Sequential(OrderedDict([*stage.named_children()][start:end]))


def _last_stage(stage: nn.Module, head: Head, form: Form, who: str, name: str) -> nn.Sequential:
    """The head's blocks of the last stage, with its stride, and the last one cut where the feature is read."""
    total = len([*stage.children()])
    if head.blocks is not None and head.blocks > total:
        raise ValueError(f"{who} keeps {head.blocks} blocks of {name}, which has {total}")
    kept = _blocks(stage, 0, head.blocks)
    _set_stride(kept[0], head.stride)
    if form.feature.startswith("penultimate"):
        kept[-1] = _cut(kept[-1], activated=form.feature == "penultimate+")
    return kept


def _set_stride(block: nn.Module, stride: int) -> None:
    """Wherever the block makes its map smaller, it does so by this factor."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1):
            module.stride = (stride, stride)
        elif isinstance(module, nn.AvgPool2d) and module.stride not in (1, (1, 1)):
            module.kernel_size = module.stride = stride
    if hasattr(block, "stride"):
        block.stride = stride  # pyright: ignore[reportArgumentType]


def _cut(block: nn.Module, *, activated: bool) -> nn.Sequential:
    """The block up to its last BatchNorm but one, without a shortcut; with the ReLU after it where `activated`."""
    layers: list[tuple[str, nn.Module]] = []
    for name in _convolutions(block)[:-1]:
        number = name.removeprefix("conv")
        layers += [(name, getattr(block, name)), (f"bn{number}", getattr(block, f"bn{number}"))]
        layers.append((f"relu{number}", nn.ReLU()))
    return nn.Sequential(OrderedDict(layers if activated else layers[:-1]))


@torch.no_grad()
def _lengths(trunk: nn.Module, heads: Sequence[nn.Module], images: Tensor) -> tuple[int, ...]:
    """How long the heads' vectors are. ValueError where a head does not fit on the trunk."""
    try:
        with evaluating(trunk, *heads):
            shared = trunk(images)
            return tuple(head(shared).shape[1] for head in heads)
    except RuntimeError as error:
        raise ValueError(f"a head with this stride does not fit together: {error}") from error
