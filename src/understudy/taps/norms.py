"""Which BatchNorm normalised what is read at a position."""

from torch import nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def norm_at(network: nn.Module, name: str, channels: int) -> nn.Module | None:
    """The BatchNorm whose output the position is; None where there is none.

    For a position that is no BatchNorm's own output, such as a residual sum, it is the last one of that width in the
    block around it: an approximation, as in the overhaul authors' code.
    """
    owner = name.removeprefix("before:").removeprefix("after:").partition("#")[0]
    modules = dict(network.named_modules())
    if isinstance(modules.get(owner), BATCH_NORMS) and not name.startswith("before:"):
        return modules[owner]
    around = modules.get(owner)
    while True:
        fitting = [m for m in around.modules() if isinstance(m, BATCH_NORMS)] if around is not None else []
        fitting = [m for m in fitting if m.num_features == channels]
        if fitting:
            return fitting[-1]
        if not owner:
            return None
        owner = owner.rpartition(".")[0]
        around = modules.get(owner)
