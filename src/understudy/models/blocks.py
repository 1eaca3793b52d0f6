"""The blocks that a network repeats, and its weights by block."""

from torch import nn

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def blocks(network: nn.Module) -> tuple[str, ...]:
    """The names of the network's blocks, first to last: a residual network's residual blocks, a transformer's layers.

    Of the kinds of modules that occur more than once and hold two or more weights (kernels or matrices), the one that
    holds most parameters together; of two that hold as many, the smaller one. A network without such is divided into
    its own parts, without the last that has weights: the classifier.
    """
    kinds: dict[type, list[str]] = {}
    for name, module in network.named_modules():
        if name and type(module) is not nn.Module and not isinstance(module, CONTAINERS) and _num_weights(module) > 1:
            kinds.setdefault(type(module), []).append(name)
    repeated = [names for names in kinds.values() if len(names) > 1]
    if not repeated:
        return tuple(name for name, module in network.named_children() if _num_weights(module))[:-1]
    return tuple(max(repeated, key=lambda names: (_num_parameters(network, names), len(names))))


def _num_weights(module: nn.Module) -> int:
    return sum(parameter.dim() > 1 for parameter in module.parameters())


def _num_parameters(network: nn.Module, names: list[str]) -> int:
    return sum(parameter.numel() for name in names for parameter in network.get_submodule(name).parameters())


def block_of(name: str, names: tuple[str, ...]) -> str | None:
    """The block among `names` that a parameter of this name belongs to; None for one outside of all."""
    return next((block for block in names if name.startswith(f"{block}.")), None)


def weights_by_block(network: nn.Module) -> dict[str, list[str]]:
    """The names of all kernels and matrices by their block, those outside of blocks by their module.

    In the order in which the network has them. Biases and norms' scales are none.
    """
    names = blocks(network)
    found: dict[str, list[str]] = {}
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            found.setdefault(block_of(name, names) or name.rpartition(".")[0] or name, []).append(name)
    return found
