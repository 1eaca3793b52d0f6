"""Which BatchNorm normalised what is read at a position."""

from torch import Tensor, nn

from understudy.modes import BATCH_NORMS
from understudy.taps.positions import DryRun


def norm_at(network: nn.Module, name: str, channels: int, images: Tensor) -> nn.Module | None:
    """The BatchNorm whose output the position is, by a dry run on the images; None where there is none.

    A position inside a BatchNorm, such as the activation that timm's hold, is that one's output. For one that is no
    BatchNorm's own output, such as a residual sum, it is one of that width that ran before, in the innermost module
    around it: the last of the least nested (a shortcut's mostly stands deeper). An approximation, as in the overhaul
    authors' code.
    """
    run = DryRun(network, images)
    read = run.find(name)
    around = _around(read.key[1], run)
    if around is not None:
        return around
    before: dict[str, nn.Module] = {}
    for (side, owner, _), event in run.events.items():
        norm = run.modules.get(owner)
        if side == "after" and isinstance(norm, BATCH_NORMS):
            if event.identity == read.identity:
                return norm
            if norm.num_features == channels:
                before[owner] = norm
        if event is read:
            break
    return _norm_around(read.key[1], before, run)


def _around(owner: str, run: DryRun) -> nn.Module | None:
    """The innermost BatchNorm that this module or function stands in."""
    while owner := owner.rpartition(".")[0]:
        module = run.modules.get(owner)
        if isinstance(module, BATCH_NORMS):
            return module
    return None


def _norm_around(owner: str, norms: dict[str, nn.Module], run: DryRun) -> nn.Module | None:
    """The last of the least nested in the innermost module around the owner, itself included, that has any.

    A shortcut's, where it stands no deeper than the others (timm's RegNet), only if there is no other.
    """
    while True:
        inside = [name for name in norms if not owner or f"{name}.".startswith(f"{owner}.")]
        if inside:
            depth = min(name.count(".") for name in inside)
            shallow = [name for name in inside if name.count(".") == depth]
            later = [name for name in shallow if not _reads_the_input(_child(owner, name), owner, run)]
            return norms[(later or shallow)[-1]]
        if not owner:
            return None
        owner = owner.rpartition(".")[0]


def _child(owner: str, name: str) -> str:
    """The owner's own child that holds this module: ("block", "block.shortcut.norm") -> "block.shortcut"."""
    skipped = len(owner) + 1 if owner else 0
    return name[:skipped] + name[skipped:].partition(".")[0]


def _reads_the_input(child: str, owner: str, run: DryRun) -> bool:
    """Whether a module is given what the one around it is given, as a shortcut is, and a block's first layer."""
    given, entered = (run.events.get(("before", module, 1)) for module in (child, owner))
    return given is not None and entered is not None and given.identity == entered.identity
